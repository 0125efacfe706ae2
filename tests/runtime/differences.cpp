#include "differences.hpp"

#include <cmath>
#include <cstddef>

#include "support/catch.hpp"

namespace gristmill::runtime::test {

std::vector<double> differences(Lab& lab, View input, const std::function<double()>& loss) {
  constexpr double kStep = 1e-5;
  auto values = lab.read(input);
  std::vector<double> gradient;
  for (double& value : values) {
    const double kept = value;
    const auto at = [&](double moved) {
      value = moved;
      write_real(lab.device(), input, values);
      return loss();
    };
    const double above = at(kept + kStep), below = at(kept - kStep);
    gradient.push_back((above - below) / (2 * kStep));
    value = kept;
  }
  write_real(lab.device(), input, values);
  return gradient;
}

void check_close(const std::vector<double>& analytic, const std::vector<double>& numeric) {
  REQUIRE(analytic.size() == numeric.size());
  for (size_t i = 0; i < analytic.size(); ++i) {
    INFO("element " << i);
    CHECK(std::abs(analytic[i] - numeric[i]) <= 1e-7 * (1 + std::abs(numeric[i])));
  }
}

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

}  // namespace gristmill::runtime::test

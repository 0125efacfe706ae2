// AdamW on parameters in bf16: stochastic rounding is unbiased, goes to a neighbour, and depends on seed,
// step and an element's number alone.

#include <cmath>
#include <vector>

#include "lab.hpp"
#include "runtime/bfloat16.hpp"
#include "runtime/rounding.hpp"
#include "support/catch.hpp"

using namespace gristmill;
using namespace gristmill::runtime;
using namespace gristmill::runtime::test;

namespace {

/// Zero moments and no decay: the first step moves every parameter by rate · sign(gradient).
AdamW step_of(double rate, uint64_t seed, int64_t step = 1, int64_t first = 0) {
  AdamW args;
  args.learning_rate = rate;
  args.epsilon = 0;
  args.step = step;
  args.seed = seed;
  args.first = first;
  return args;
}

struct Parameters {
  Parameters(Device& device, DType type, int64_t rows, int64_t cols, double start, int64_t gap = 0)
      : p(device, type, rows, cols + gap),
        m(device, DType::f32, rows, cols),
        v(device, DType::f32, rows, cols),
        g(device, DType::f32, rows, cols),
        view(p.view().col_range(0, cols)) {
    write_real(device, p.view(), std::vector<double>(static_cast<size_t>(p.view().size()), start));
    write_real(device, g.view(), std::vector<double>(static_cast<size_t>(g.view().size()), -1.0));
  }
  Buffer p, m, v, g;
  View view;
};

std::vector<double> after(Device& device, int64_t rows, int64_t cols, const AdamW& args, int64_t gap = 0) {
  Parameters set(device, DType::bf16, rows, cols, 1.0, gap);
  device.backend().adamw(set.view, set.m.view(), set.v.view(), set.g.view(), args);
  const auto all = read_real(device, set.p.view());
  std::vector<double> values;
  for (int64_t r = 0; r < rows; ++r)
    values.insert(values.end(), all.begin() + r * (cols + gap), all.begin() + r * (cols + gap) + cols);
  return values;
}

constexpr double kSpacing = 0x1p-7;  // of bf16 numbers from 1 on

}  // namespace

TEST_CASE("parameters in bf16 are rounded to a neighbour, up as often as they should be", "[runtime]") {
  constexpr int64_t kSize = 40000;
  for (const auto& isa : available_isas()) {
    const auto device = open_cpu_at(isa, 2, DType::bf16);
    for (const double part : {0.0, 0.03, 0.5, 0.9}) {
      INFO(isa << ": " << part << " of the distance");
      int64_t up = 0;
      for (const double value : after(*device, 1, kSize, step_of(part * kSpacing, 1))) {
        REQUIRE((value == 1.0 || value == 1.0 + kSpacing));
        up += value > 1.0;
      }
      const double deviation = std::sqrt(part * (1 - part) / kSize);
      CHECK(std::abs(static_cast<double>(up) / kSize - part) <= 4 * deviation + 0x1p-16);
    }
  }
}

TEST_CASE("seeds, steps and elements are rounded independently", "[runtime]") {
  constexpr int64_t kSize = 16384;
  const auto device = open_device("cpu", 1, DType::bf16);
  const AdamW half = step_of(kSpacing / 2, 1);
  const auto base = after(*device, 1, kSize, half);
  const auto agreement = [&](const std::vector<double>& other, int64_t shift) {
    int64_t equal = 0;
    for (int64_t i = 0; i + shift < kSize; ++i)
      equal += base[static_cast<size_t>(i + shift)] == other[static_cast<size_t>(i)];
    return static_cast<double>(equal) / static_cast<double>(kSize - shift);
  };
  const double tolerance = 4 * 0.5 / std::sqrt(kSize);
  AdamW next = half;
  next.step = 2;
  next.beta1 = next.beta2 = 0;  // so that the second step has the first one's size
  CHECK(std::abs(agreement(after(*device, 1, kSize, step_of(kSpacing / 2, 2)), 0) - 0.5) <= tolerance);
  CHECK(std::abs(agreement(after(*device, 1, kSize, next), 0) - 0.5) <= tolerance);
  for (const int64_t shift : {1, 2, 16, 4096})
    CHECK(std::abs(agreement(base, shift) - 0.5) <= 1.5 * tolerance);
}

TEST_CASE("a parameter's rounding does not depend on how the arena is cut or lies", "[runtime]") {
  const auto device = open_device("cpu", 2, DType::bf16);
  const AdamW args = step_of(kSpacing / 3, 7);
  const auto whole = after(*device, 6, 50, args);
  CHECK(after(*device, 1, 300, args) == whole);
  CHECK(after(*device, 6, 50, args, 3) == whole);
  std::vector<double> parts = after(*device, 1, 77, args);
  const auto rest = after(*device, 1, 300 - 77, step_of(kSpacing / 3, 7, 1, 77));
  parts.insert(parts.end(), rest.begin(), rest.end());
  CHECK(parts == whole);
}

TEST_CASE("steps too small for bf16 add up", "[runtime]") {
  const auto device = open_device("cpu", 1, DType::bf16);
  constexpr int64_t kSize = 1024, kSteps = 200;
  Parameters set(*device, DType::bf16, 1, kSize, 1.0);
  for (int64_t step = 1; step <= kSteps; ++step) {
    AdamW args = step_of(kSpacing / 100, 3, step);
    device->backend().adamw(set.view, set.m.view(), set.v.view(), set.g.view(), args);
  }
  double mean = 0;
  for (const double value : read_real(*device, set.p.view())) mean += value / kSize;
  // Each of the steps is a hundredth of the distance: two distances in all; the deviation of a sum of
  // `kSteps` roundings is 1.4 of them, that of the mean a 32nd.
  CHECK(mean == Approx(1 + 2 * kSpacing).margin(0.2 * kSpacing));
}

TEST_CASE("what is no number stays so under stochastic rounding", "[runtime]") {
  for (const auto& isa : available_isas()) {
    const auto device = open_cpu_at(isa, 1, DType::bf16);
    Parameters set(*device, DType::bf16, 1, 40, NAN);
    device->backend().adamw(set.view, set.m.view(), set.v.view(), set.g.view(), step_of(1e-3, 1));
    for (const double value : read_real(*device, set.p.view())) CHECK(std::isnan(value));
  }
}

// Shapes that only a GPU's kernels treat apart: rows of a whole block, sums of many bands, sorts of several
// passes.

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/str.hpp"
#include "parity.hpp"
#include "support/catch.hpp"

using namespace gristmill;
using namespace gristmill::runtime;
using namespace gristmill::runtime::test;

namespace {

class Scenarios {
 public:
  void add(const std::string& method, const std::string& what, std::function<Outputs(Lab&)> run) {
    all.push_back({str(method, " ", what), tolerance_of(method), std::move(run)});
  }
  std::vector<Scenario> all;
};

std::vector<Scenario> wide_norms() {
  Scenarios scenarios;
  for (const auto& [rows, cols] : std::vector<std::pair<int64_t, int64_t>>{{3, 513}, {35, 1030}, {2, 2048}}) {
    const int64_t r = rows, c = cols;
    for (const bool accumulate : {false, true}) {
      scenarios.add("rmsnorm_backward", str(r, " x ", c), [=](Lab& lab) {
        const View in = lab.computed(r, c), weight = lab.real(1, c), out = lab.computed(r, c),
                   rstd = lab.real(r, 1), dweight = lab.real(1, c), dout = lab.computed(r, c),
                   din = accumulate ? lab.computed(r, c) : dout;
        lab.backend().rmsnorm(out, rstd, in, weight, 1e-5);
        lab.backend().rmsnorm_backward(din, accumulate, dweight, dout, in, weight, rstd);
        return Outputs{lab.read(out), lab.read(rstd), lab.read(din), lab.read(dweight)};
      });
      scenarios.add("layernorm_backward", str(r, " x ", c), [=](Lab& lab) {
        const View in = lab.computed(r, c), weight = lab.real(1, c), bias = lab.real(1, c),
                   out = lab.computed(r, c), moments = lab.real(r, 2), dweight = lab.real(1, c),
                   dbias = lab.real(1, c), dout = lab.computed(r, c),
                   din = accumulate ? lab.computed(r, c) : dout;
        lab.backend().layernorm(out, moments, in, weight, bias, 1e-5);
        lab.backend().layernorm_backward(din, accumulate, dweight, dbias, dout, in, weight, moments);
        return Outputs{lab.read(out), lab.read(moments), lab.read(din), lab.read(dweight), lab.read(dbias)};
      });
    }
  }
  return scenarios.all;
}

std::vector<Scenario> many_rows() {
  Scenarios scenarios;
  scenarios.add("sum_rows", "of many bands", [](Lab& lab) {
    const View in = lab.computed(1500, 9), out = lab.real(1, 9);
    lab.backend().sum_rows(out, in);
    return Outputs{lab.read(out)};
  });
  scenarios.add("rmsnorm_backward", "of many bands", [](Lab& lab) {
    const View in = lab.computed(600, 5), weight = lab.real(1, 5), rstd = lab.real(600, 1),
               dout = lab.computed(600, 5), din = lab.computed(600, 5), dweight = lab.real(1, 5);
    lab.backend().rmsnorm(din, rstd, in, weight, 1e-1);
    lab.backend().rmsnorm_backward(din, false, dweight, dout, in, weight, rstd);
    return Outputs{lab.read(din), lab.read(dweight)};
  });
  // Vocabularies of one, two and three digits of the sort; more tokens than a tile; runs of equal ones.
  for (const int32_t vocabulary : {1, 5, 256, 257, 300, 70000}) {
    scenarios.add("embedding_backward", str("vocabulary ", vocabulary), [=](Lab& lab) {
      const View table = lab.real(vocabulary, 3), ids = lab.random_ints(600, vocabulary),
                 dout = lab.real(600, 3);
      lab.backend().embedding_backward(table, dout, ids);
      return Outputs{lab.read(table)};
    });
  }
  return scenarios.all;
}

}  // namespace

TEST_CASE("norms of rows that take a whole block keep the contract", "[cuda]") {
  check_exact(wide_norms());
  check_mixed(wide_norms());
}
TEST_CASE("sums and sorts of many rows keep the contract", "[cuda]") {
  check_exact(many_rows());
  check_mixed(many_rows());
}

// Products of experts on the emulated GPU: the contract's scenarios, few and many rows of many experts.

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/str.hpp"
#include "parity.hpp"
#include "support/catch.hpp"

using namespace gristmill;
using namespace gristmill::runtime;
using namespace gristmill::runtime::test;

namespace {

const std::vector<std::string> kMethods = {"grouped_matmul", "grouped_matmul_gradient"};

/// Expert e has e² % 67 rows, so that some have none and some more than a tile.
std::vector<int32_t> offsets_of(int32_t experts) {
  std::vector<int32_t> offsets{0};
  for (int32_t e = 0; e < experts; ++e) offsets.push_back(offsets.back() + e * e % 67);
  return offsets;
}

/// More experts than a warp has lanes, with aligned weights and without.
std::vector<Scenario> many_experts() {
  std::vector<Scenario> all;
  for (const int32_t experts : {6, 40}) {
    for (const int64_t gap : {0, 3}) {
      const int64_t depth = 24, cols = 72, stride = depth * cols + gap;
      const auto offsets = offsets_of(experts);
      const int64_t rows = offsets.back();
      for (const bool transposed : {true, false}) {
        all.push_back({str("grouped_matmul ", rows, " rows for ", experts, ", gap ", gap),
                       tolerance_of("grouped_matmul"), [=](Lab& lab) {
                         GroupedMatmul args;
                         args.a = lab.computed(rows, depth);
                         args.out = lab.computed(rows, cols);
                         const View weights = lab.computed(1, experts * stride, 0.5);
                         args.b = transposed ? weights.col_range(0, depth * cols).reshaped(cols, depth)
                                             : weights.col_range(0, depth * cols).reshaped(depth, cols);
                         args.transpose_b = transposed;
                         args.expert_stride = stride;
                         args.offsets = lab.ints(offsets);
                         lab.backend().grouped_matmul(args);
                         return Outputs{lab.read(args.out)};
                       }});
      }
      all.push_back({str("grouped_matmul_gradient ", rows, " rows for ", experts, ", gap ", gap),
                     tolerance_of("grouped_matmul_gradient"), [=](Lab& lab) {
                       const View dout = lab.computed(rows, cols, 0.3), a = lab.computed(rows, depth),
                                  weights = lab.real(1, experts * stride);
                       lab.backend().grouped_matmul_gradient(
                           weights.col_range(0, depth * cols).reshaped(cols, depth), stride, dout, a,
                           lab.ints(offsets));
                       return Outputs{lab.read(weights)};
                     }});
    }
  }
  return all;
}

}  // namespace

TEST_CASE("products of experts on a GPU keep the contract", "[cuda]") {
  check_exact(only(expert_scenarios(), kMethods));
}
TEST_CASE("products of experts on a GPU keep the contract in bf16", "[cuda]") {
  check_mixed(only(expert_scenarios(), kMethods));
}
TEST_CASE("a GPU finds the rows of many experts", "[cuda]") { check_exact(many_experts()); }
TEST_CASE("a GPU finds the rows of many experts in bf16", "[cuda]") { check_mixed(many_experts()); }

TEST_CASE("a GPU stops at offsets that do not lie within the rows", "[cuda]") {
  const auto device = open_parity_device(2);
  Lab lab(*device);
  GroupedMatmul args;
  args.a = lab.real(4, 8);
  args.out = lab.real(4, 8);
  args.b = lab.real(8, 8);
  args.transpose_b = true;
  args.expert_stride = 0;
  args.offsets = lab.ints({0, 9});
  device->backend().grouped_matmul(args);
  CHECK_THROWS_AS(device->synchronize(), Error);
}

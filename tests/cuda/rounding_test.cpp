// Stochastic rounding on a GPU: the CPU's random bits.

#include <memory>
#include <vector>

#include "parity.hpp"
#include "runtime/backend.hpp"
#include "runtime/device.hpp"
#include "support/catch.hpp"

using namespace gristmill::runtime;

namespace {

/// Three steps on a matrix in a wider one; parameters are powers of two, and steps a third of the distance to
/// the next number, so that both devices round the same value.
std::vector<double> trained(const std::unique_ptr<Device>& device) {
  constexpr int64_t kRows = 5, kCols = 70, kGap = 3;
  const Buffer p(*device, DType::bf16, kRows, kCols + kGap), m(*device, DType::f32, kRows, kCols),
      v(*device, DType::f32, kRows, kCols), g(*device, DType::f32, kRows, kCols);
  write_real(*device, p.view(), std::vector<double>(kRows * (kCols + kGap), 1.0));
  write_real(*device, g.view(), std::vector<double>(kRows * kCols, -1.0));
  AdamW args;
  args.learning_rate = 0x1p-9;
  args.epsilon = 0;
  args.seed = 5;
  args.first = 1000;
  for (args.step = 1; args.step <= 3; ++args.step)
    device->backend().adamw(p.view().col_range(0, kCols), m.view(), v.view(), g.view(), args);
  return read_real(*device, p.view());
}

}  // namespace

TEST_CASE("bf16 parameters are rounded on a GPU as on the CPU", "[cuda]") {
  const auto gpu = trained(test::open_parity_device(1, DType::bf16));
  CHECK(gpu == trained(open_device("cpu", 1, DType::bf16)));
  CHECK(std::vector<double>(gpu.size(), 1.0) != gpu);
}

// Weights that stay rounded on a GPU: never outdated, made once, gone with their memory.

#include <cstdint>
#include <vector>

#include "cuda/backend.hpp"
#include "cuda/device.hpp"
#include "emulator/driver/emulated_driver.hpp"
#include "lab.hpp"
#include "parity.hpp"
#include "runtime/int8.hpp"
#include "support/catch.hpp"
#include "write_scenarios.hpp"

using namespace gristmill;
using namespace gristmill::runtime;
using namespace gristmill::runtime::test;

namespace {

constexpr int64_t kSize = kWrittenSize;

std::vector<double> product_with(Lab& lab, View out, View a, View weight, bool keep) {
  lab.backend().matmul({out, a, false, weight, true, false, keep, {}, {}});
  return lab.read(out);
}

/// Kernels that copied since the last clearing.
uint64_t copies(Device& device) {
  device.synchronize();
  return emulator::kernel_use()["copy"].launches;
}

/// A product of `rows` rows with a weight, before and after the write.
void check_write(Device& device, const Write& write, int64_t rows) {
  Lab lab(device);
  const View weight = lab.real(kSize, kSize), a = lab.real(rows, kSize), out = lab.real(rows, kSize);
  const auto before = product_with(lab, out, a, weight, true);
  CHECK((product_with(lab, out, a, weight, true) == before));
  write.second(lab, weight);
  const auto after = product_with(lab, out, a, weight, true);
  INFO(write.first << ", " << rows << " rows");
  CHECK((after != before));
  CHECK((after == product_with(lab, out, a, weight, false)));
}

GroupedMatmul with_experts(Lab& lab, int64_t rows, View weights) {
  GroupedMatmul args;
  args.out = lab.computed(rows, kSize);
  args.a = lab.computed(rows, kSize);
  args.b = weights.row_range(0, kSize);
  args.expert_stride = kSize * kSize;
  args.transpose_b = true;
  args.offsets = lab.ints({0, static_cast<int32_t>(rows / 3), static_cast<int32_t>(rows)});
  return args;
}

}  // namespace

TEST_CASE("a weight that is kept rounded is rounded anew after any write to it", "[cuda]") {
  const auto device = open_parity_device(2, DType::bf16);
  for (const Write& write : all_writes()) check_write(*device, write, 4);  // read as it is kept
}

TEST_CASE("a weight that is kept rounded is rounded anew for all kinds of products", "[cuda]") {
  const auto device = open_parity_device(2, DType::bf16);
  const auto library = open_with_library(DType::bf16, {0, 1, 1});
  for (const Write& write : all_writes()) {
    if (write.first != "write" && write.first != "adamw") continue;
    check_write(*device, write, 40);
    check_write(*library, write, 40);
  }
}

TEST_CASE("a weight that is kept rounded is rounded anew when int8 is written over it", "[cuda]") {
  const auto device = open_parity_device(2, DType::bf16);
  Lab lab(*device);
  const View weight = lab.values(kSize, kSize, std::vector<double>(kSize * kSize, 1.0)),
             a = lab.real(4, kSize), out = lab.real(4, kSize), zeros = lab.real(kSize, kSize);
  lab.backend().fill(zeros, 0);  // bytes of zero are zeros in f32, too
  const auto before = product_with(lab, out, a, weight, true);
  const View bytes(weight.data, DType::i8, 1, int8_bytes(kSize, kSize));
  lab.backend().quantize(int8_matrix(bytes, 0, kSize, kSize), zeros, false);
  const auto after = product_with(lab, out, a, weight, true);
  CHECK((after != before));
  CHECK((after == product_with(lab, out, a, weight, false)));
}

TEST_CASE("experts' weights that are kept rounded are rounded anew after a write to any", "[cuda]") {
  const auto device = open_parity_device(2, DType::bf16);
  for (const int64_t rows : {6, 80}) {
    Lab lab(*device);
    const View weights = lab.real(2 * kSize, kSize);
    GroupedMatmul args = with_experts(lab, rows, weights);
    std::vector<std::vector<double>> results;
    for (int round = 0; round < 2; ++round) {
      for (const bool keep : {true, true, false}) {
        args.keep_b = keep;
        lab.backend().grouped_matmul(args);
        results.push_back(lab.read(args.out));
      }
      lab.backend().fill(weights.row_range(kSize, 1), 2);  // of the second
    }
    INFO(rows << " rows");
    CHECK((results[0] == results[2]));
    CHECK((results[1] == results[2]));
    CHECK((results[3] != results[0]));
    CHECK((results[3] == results[5]));
    CHECK((results[4] == results[5]));
  }
}

TEST_CASE("a weight is rounded once for products of both directions until it is written to",
          "[cuda][emulator]") {
  const auto device = open_device("emu", 2, DType::bf16);
  Lab lab(*device);
  const View weight = lab.real(kSize, kSize), a = lab.computed(40, kSize), out = lab.computed(40, kSize);
  const auto both = [&] {
    for (const bool transposed : {true, false})
      lab.backend().matmul({out, a, false, weight, transposed, false, true, {}, {}});
  };
  emulator::clear_kernel_use();
  both();
  both();
  CHECK(copies(*device) == 1);
  lab.backend().fill(weight, 1);
  auto& backend = dynamic_cast<cuda::CudaBackend&>(device->backend());
  backend.refresh_kept();
  CHECK(copies(*device) == 2);
  both();
  CHECK(copies(*device) == 2);
  device->forget(weight.data, 4);  // another library wrote there
  both();
  CHECK(copies(*device) == 3);
}

TEST_CASE("a weight that was kept rounded goes with its memory", "[cuda]") {
  const auto device = open_parity_device(1, DType::bf16);
  const auto& backend = dynamic_cast<cuda::CudaBackend&>(device->backend());
  Lab lab(*device);
  const View a = lab.computed(4, kSize), out = lab.real(4, kSize);
  for (int round = 0; round < 3; ++round) {  // the allocator may give the same place again
    const Buffer weight(*device, DType::f32, kSize, kSize);
    CHECK(backend.kept_bytes() == 0);
    CHECK((product_with(lab, out, a, weight.view(), true) == std::vector<double>(4 * kSize, 0.0)));
    write_real(*device, weight.view(), std::vector<float>(kSize * kSize, 1.0F));
    CHECK((product_with(lab, out, a, weight.view(), true) != std::vector<double>(4 * kSize, 0.0)));
    CHECK(backend.kept_bytes() == kSize * kSize * 2);
  }
  CHECK(backend.kept_bytes() == 0);
}

TEST_CASE("weights that are kept rounded are given up where a run needs more memory", "[cuda][emulator]") {
  emulator::GpuOptions options;
  options.memory = uint64_t{400} << 20;
  const auto device =
      cuda::open_gpu(emulator::emulated_driver(), emulator::add_gpu(options), "emu", {DType::bf16, false});
  Lab lab(*device);
  const View weight = lab.real(kSize, kSize), a = lab.real(20, kSize), out = lab.real(20, kSize);
  const auto before = product_with(lab, out, a, weight, true);
  const auto copied = [&] {
    emulator::clear_kernel_use();
    product_with(lab, out, a, weight, true);
    return copies(*device);
  };
  const uint64_t kept = copied();
  CHECK_THROWS(Buffer(*device, DType::f32, 1, int64_t{1} << 32));  // not even without them
  CHECK(copied() > kept);                                          // rounded anew, and for good
  CHECK((product_with(lab, out, a, weight, true) == before));
}

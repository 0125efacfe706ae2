// Products on the emulated GPU: the contract's scenarios, and shapes around every edge of the kernels' tiles.

#include <array>
#include <cstdint>
#include <vector>

#include "base/str.hpp"
#include "emulator/driver/emulated_driver.hpp"
#include "parity.hpp"
#include "support/catch.hpp"

using namespace gristmill;
using namespace gristmill::runtime;
using namespace gristmill::runtime::test;

namespace {

/// A product as large as `shape` (rows, columns, depth) says; its form is that of the transposes.
Scenario product(const std::array<int64_t, 3>& shape, bool ta, bool tb, bool accumulate) {
  const int64_t m = shape[0], n = shape[1], k = shape[2];
  return {str("matmul ", m, " x ", n, " x ", k, ta ? " T" : " N", tb ? "T" : "N"), tolerance_of("matmul"),
          [=](Lab& lab) {
            Matmul args;
            args.a = ta ? lab.computed(k, m, 0.5) : lab.computed(m, k, 0.5);
            args.b = tb ? lab.computed(n, k, 0.5) : lab.computed(k, n, 0.5);
            args.out = lab.computed(m, n);
            args.transpose_a = ta;
            args.transpose_b = tb;
            args.accumulate = accumulate;
            lab.backend().matmul(args);
            return Outputs{lab.read(args.out)};
          }};
}

/// One less than, as much as, and one more than tiles of 64 and 128, runs of 8 and stages of 32; enough tiles
/// that large ones are chosen.
std::vector<Scenario> edges() {
  std::vector<Scenario> all;
  for (const auto& shape : std::vector<std::array<int64_t, 3>>{
           {63, 65, 32}, {64, 64, 33}, {65, 129, 95}, {128, 72, 8}, {129, 385, 40}, {256, 512, 65}}) {
    for (int form = 0; form < 4; ++form)
      all.push_back(product(shape, (form & 1) != 0, (form & 2) != 0, form == 1));
  }
  for (const int64_t rows : {1, 2, 4, 5, 8, 9, 16, 17})
    all.push_back(product({rows, 33, 259}, false, true, false));
  all.push_back(product({5, 6, 0}, false, true, false));
  all.push_back(product({40, 6, 0}, true, false, true));
  return all;
}

/// What a product makes of its result is what the activation's own kernel makes of it.
Scenario activated(const std::array<int64_t, 3>& shape, bool gelu, bool transposed) {
  const int64_t m = shape[0], n = shape[1], k = shape[2], width = gelu ? n : n / 2;
  return {str("fused_matmul ", m, " x ", n, " x ", k, gelu ? " with GELU" : " with SwiGLU",
              transposed ? " transposed" : ""),
          tolerance_of("fused_matmul"), [=](Lab& lab) {
            Matmul args;
            args.a = lab.computed(m, k, 0.5);
            args.b = transposed ? lab.computed(n, k, 0.5) : lab.computed(k, n, 0.5);
            args.transpose_b = transposed;
            args.out = lab.computed(m, n);
            args.residual = lab.real(m, n);
            args.activated = lab.computed(m, width);
            args.activation = gelu ? Activation::gelu : Activation::swiglu;
            const View alone = lab.as(args.activated, m, width);
            lab.backend().matmul(args);
            gelu ? lab.backend().gelu(alone, args.out) : lab.backend().swiglu(alone, args.out);
            CHECK((lab.read(alone) == lab.read(args.activated)));
            return Outputs{lab.read(args.out), lab.read(args.activated)};
          }};
}

std::vector<Scenario> activations() {
  std::vector<Scenario> all;
  for (const auto& shape :
       std::vector<std::array<int64_t, 3>>{{8, 40, 64}, {65, 66, 40}, {130, 400, 24}, {33, 208, 7}}) {
    for (const bool gelu : {true, false}) {
      for (const bool transposed : {true, false}) all.push_back(activated(shape, gelu, transposed));
    }
  }
  return all;
}

/// A product of which all rows begin on 256 bytes; form: bit 0 turns a around, bit 1 b.
Matmul aligned(Lab& lab, int64_t m, int64_t n, int64_t k, int form) {
  Matmul args;
  args.transpose_a = (form & 1) != 0;
  args.transpose_b = (form & 2) != 0;
  args.a = args.transpose_a ? lab.computed(k, m) : lab.computed(m, k);
  args.b = args.transpose_b ? lab.computed(n, k) : lab.computed(k, n);
  args.out = lab.computed(m, n);
  if (args.transpose_b) {
    args.activation = Activation::swiglu;
    args.activated = lab.computed(m, n / 2);
  }
  return args;
}

void with_experts(Lab& lab) {
  GroupedMatmul args;
  args.a = lab.computed(256, 128);
  args.b = lab.computed(256, 128).row_range(0, 128);
  args.out = lab.computed(256, 128);
  args.expert_stride = 128 * 128;
  args.offsets = lab.ints({0, 128, 256});
  for (const bool transposed : {true, false}) {
    args.transpose_b = transposed;
    lab.backend().grouped_matmul(args);
  }
  const View dweight = lab.real(256, 128);
  lab.backend().grouped_matmul_gradient(dweight.row_range(0, 128), args.expert_stride, args.out, args.a,
                                        args.offsets);
}

void with_int8(Lab& lab) {
  Matmul args;
  args.a = lab.computed(16, 256);
  args.b = lab.int8(64, 256, 1, false);
  args.transpose_b = true;
  args.out = lab.computed(16, 64);
  lab.backend().matmul(args);
  lab.int8(64, 256, 1, true);
}

}  // namespace

TEST_CASE("products on a GPU keep the contract", "[cuda]") { check_exact(product_scenarios()); }
TEST_CASE("products on a GPU keep the contract in bf16", "[cuda]") { check_mixed(product_scenarios()); }
TEST_CASE("products with activations on a GPU keep the contract", "[cuda]") {
  check_exact(fused_scenarios());
}
TEST_CASE("products with activations on a GPU keep the contract in bf16", "[cuda]") {
  check_mixed(fused_scenarios());
}
TEST_CASE("products of all shapes around tiles are right on a GPU", "[cuda]") { check_exact(edges()); }
TEST_CASE("products of all shapes around tiles are right on a GPU in bf16", "[cuda]") {
  check_mixed(edges());
}
TEST_CASE("a GPU's product makes the bits of the activation's own kernel", "[cuda]") {
  check_exact(activations());
}
TEST_CASE("a GPU's product makes the bits of the activation's own kernel in bf16", "[cuda]") {
  check_mixed(activations());
}

TEST_CASE("a GPU's products touch no memory in vain and meet in no bank", "[cuda][emulator]") {
  for (const DType compute : {DType::f32, DType::bf16}) {
    emulator::clear_kernel_use();
    const auto device = open_device("emu", 2, compute);
    Lab lab(*device);
    for (int form = 0; form < 4; ++form) {
      lab.backend().matmul(aligned(lab, 256, 512, 96, form));
      lab.backend().matmul(aligned(lab, 128, 128, 96, form));
    }
    lab.backend().matmul(aligned(lab, 1, 64, 512, 2));
    lab.backend().matmul(aligned(lab, 8, 64, 512, 2));
    with_experts(lab);
    with_int8(lab);
    device->synchronize();
    for (const auto& [kernel, use] : emulator::kernel_use()) {
      const auto& count = use.counters;
      INFO(kernel << ": " << count.shared_wavefronts << " wavefronts, at least "
                  << count.shared_wavefronts_ideal << "; " << count.global_sectors << " sectors, at least "
                  << count.global_sectors_ideal);
      CHECK(count.shared_wavefronts == count.shared_wavefronts_ideal);
      // Kernels of few rows write four columns of each: half a sector.
      CHECK(100 * count.global_sectors <= 102 * count.global_sectors_ideal);
    }
  }
}

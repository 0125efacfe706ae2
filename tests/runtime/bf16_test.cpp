// What mixed precision adds to the contract: conversions bit by bit, operands rounded alike however they
// come, packed weights that are never outdated, and a stated peak.

#include <bit>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "lab.hpp"
#include "runtime/bfloat16.hpp"
#include "support/catch.hpp"

using namespace gristmill;
using namespace gristmill::runtime;
using namespace gristmill::runtime::test;

namespace {

template <class Bits>
std::vector<Bits> bits_of(Device& device, ConstView view) {
  std::vector<Bits> bits(static_cast<size_t>(view.size()));
  device.read(bits.data(), view.data, bits.size() * sizeof(Bits));
  return bits;
}

/// The bf16 nearest to a float by comparing distances, ties to the even one.
uint16_t nearest_by_distance(uint32_t bits) {
  const auto value = [](uint32_t upper) {  // beyond the largest number lies the next power of two
    const uint32_t magnitude = upper & 0x7FFF;
    const double size =
        magnitude == 0x7F80 ? 0x1p128 : static_cast<double>(widened(static_cast<uint16_t>(magnitude)));
    return (upper & 0x8000) != 0 ? -size : size;
  };
  const double exact = static_cast<double>(std::bit_cast<float>(bits));
  const uint32_t below = bits >> 16, above = below + 1;
  const double down = std::abs(exact - value(below)), up = std::abs(value(above) - exact);
  if (down != up) return static_cast<uint16_t>(down < up ? below : above);
  return static_cast<uint16_t>(below % 2 == 0 ? below : above);
}

}  // namespace

TEST_CASE("widening a bf16 puts its bits into the upper half, for all 65,536", "[runtime]") {
  std::vector<uint16_t> halves;
  for (uint32_t h = 0; h < 65536; ++h) halves.push_back(static_cast<uint16_t>(h));
  for (const auto& isa : available_isas()) {
    const auto device = open_cpu_at(isa, 1, DType::bf16);
    const Buffer narrow(*device, DType::bf16, 256, 256), wide(*device, DType::f32, 256, 256);
    device->write(narrow.view().data, halves.data(), halves.size() * 2);
    device->backend().copy(wide.view(), narrow.view());
    const auto bits = bits_of<uint32_t>(*device, wide.view());
    int wrong = 0;
    for (uint32_t h = 0; h < 65536; ++h) wrong += bits[h] != h << 16 ? 1 : 0;
    INFO(isa);
    CHECK(wrong == 0);
  }
}

TEST_CASE("narrowing rounds to the nearest, ties to even, and keeps NaN", "[runtime]") {
  std::vector<uint32_t> floats;
  for (uint32_t h = 0; h < 65536; ++h) {
    for (const uint32_t low : {0x0000U, 0x0001U, 0x7FFFU, 0x8000U, 0x8001U, 0xFFFFU}) {
      floats.push_back(h << 16 | low);
    }
  }
  const auto size = static_cast<int64_t>(floats.size());
  for (const auto& isa : available_isas()) {
    const auto device = open_cpu_at(isa, 1, DType::bf16);
    const Buffer narrow(*device, DType::bf16, size / 192, 192), wide(*device, DType::f32, size / 192, 192);
    device->write(wide.view().data, floats.data(), floats.size() * 4);
    device->backend().copy(narrow.view(), wide.view());
    const auto bits = bits_of<uint16_t>(*device, narrow.view());
    int wrong = 0;
    for (size_t i = 0; i < floats.size(); ++i) {
      const float value = std::bit_cast<float>(floats[i]);
      if (std::isnan(value)) {
        wrong += std::isnan(widened(bits[i])) && bits[i] == narrowed(value) ? 0 : 1;
      } else if (std::isinf(value)) {
        wrong += bits[i] != floats[i] >> 16 ? 1 : 0;
      } else {
        wrong += bits[i] != nearest_by_distance(floats[i]) || bits[i] != narrowed(value) ? 1 : 0;
      }
    }
    INFO(isa);
    CHECK(wrong == 0);
  }
}

TEST_CASE("a product rounds real operands, and gives the bits of operands rounded before", "[runtime]") {
  for (const auto& isa : available_isas()) {
    const auto device = open_cpu_at(isa, 2, DType::bf16);
    for (const int64_t rows : {3, 90}) {
      for (int variant = 0; variant < 4; ++variant) {
        Lab lab(*device);
        lab.set_halves(false);
        Matmul args;
        args.transpose_a = variant % 2 == 1;
        args.transpose_b = variant >= 2;
        const View a = args.transpose_a ? lab.real(75, rows) : lab.real(rows, 75);
        const View b = args.transpose_b ? lab.real(41, 75) : lab.real(75, 41);
        args.out = lab.real(rows, 41);
        args.a = a;
        args.b = b;
        lab.backend().matmul(args);
        const auto expected = lab.read(args.out);
        const View narrow_a = lab.computed(a.rows, a.cols), narrow_b = lab.computed(b.rows, b.cols);
        lab.backend().copy(narrow_a, a);
        lab.backend().copy(narrow_b, b);
        for (const int which : {1, 2, 3}) {
          args.a = (which & 1) != 0 ? narrow_a : a;
          args.b = (which & 2) != 0 ? narrow_b : b;
          lab.backend().matmul(args);
          INFO(isa << ", " << rows << " rows, variant " << variant << ", operands " << which);
          CHECK((lab.read(args.out) == expected));
        }
      }
    }
  }
}

TEST_CASE("NaN and infinity pass through products and conversions in bf16", "[runtime]") {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  for (const auto& isa : available_isas()) {
    const auto device = open_cpu_at(isa, 1, DType::bf16);
    Lab lab(*device);
    std::vector<double> values(3 * 5, 1.0);
    values[1] = kNan;
    values[7] = kInfinity;
    const View a = lab.values(3, 5, values), b = lab.values(5, 2, std::vector<double>(10, 1.0)),
               out = lab.computed(3, 2);
    lab.backend().matmul({out, a, false, b, false, false, false, {}, {}});
    const auto sums = lab.read(out);
    INFO(isa);
    CHECK(std::isnan(sums[0]));
    CHECK(sums[2] == kInfinity);
    CHECK(sums[4] == 5);
  }
}

TEST_CASE("products in bf16 take denormals for zero where one instruction multiplies pairs", "[runtime]") {
  for (const auto& isa : available_isas()) {
    const auto device = open_cpu_at(isa, 1, DType::bf16);
    Lab lab(*device);
    const View a = lab.values(1, 2, {0x1p-127, 0x1p-127}), b = lab.values(2, 1, {0x1p20, 0x1p20}),
               out = lab.real(1, 1);
    lab.backend().matmul({out, a, false, b, false, false, false, {}, {}});
    INFO(isa);
    CHECK(lab.read(out)[0] == (isa == "avx512bf16" ? 0 : 0x1p-106));
  }
}

namespace {

constexpr int64_t kSize = 32;  // of the weight

/// Ways to write to a kSize × kSize weight of f32.
std::vector<std::pair<std::string, std::function<void(Lab&, View)>>> writes() {
  const auto other = [](Lab& lab) { return lab.real(kSize, kSize); };
  const auto row = [](Lab& lab) { return lab.real(1, kSize); };
  const auto ids = [](Lab& lab) { return lab.random_ints(kSize, kSize); };
  const AttentionShape shape{2, 2, 16, 0.25};
  const auto attended = [=](Lab& lab, View out, View dq, View dk, View dv) {
    const View starts = lab.ints({0, kSize}), lse = lab.real(kSize, 2), q = other(lab), k = other(lab),
               v = other(lab);
    lab.backend().attention(out, lse, q, k, v, starts, shape);
    if (dq) lab.backend().attention_backward(dq, dk, dv, other(lab), q, k, v, out, lse, starts, shape);
  };
  return {
      {"write",
       [](Lab& lab, View w) { write_real(lab.device(), w.row_range(3, 1), std::vector<float>(kSize, 2)); }},
      {"fill", [](Lab& lab, View w) { lab.backend().fill(w.row_range(31, 1), 0.5); }},
      {"copy", [=](Lab& lab, View w) { lab.backend().copy(w, other(lab)); }},
      {"axpy", [=](Lab& lab, View w) { lab.backend().axpy(w, 1, other(lab)); }},
      {"gather_rows", [=](Lab& lab, View w) { lab.backend().gather_rows(w, other(lab), ids(lab)); }},
      {"scatter_rows", [=](Lab& lab, View w) { lab.backend().scatter_rows(w, row(lab), lab.ints({7})); }},
      {"sum_rows", [=](Lab& lab, View w) { lab.backend().sum_rows(w.row_range(0, 1), other(lab)); }},
      {"matmul",
       [=](Lab& lab, View w) {
         lab.backend().matmul({w, other(lab), false, other(lab), false, true, false, {}, {}});
       }},
      {"embedding", [=](Lab& lab, View w) { lab.backend().embedding(w, other(lab), ids(lab), false); }},
      {"embedding_backward",
       [=](Lab& lab, View w) { lab.backend().embedding_backward(w, other(lab), ids(lab)); }},
      {"rmsnorm",
       [=](Lab& lab, View w) { lab.backend().rmsnorm(w, lab.real(kSize, 1), other(lab), row(lab), 1e-5); }},
      {"rmsnorm_backward",
       [=](Lab& lab, View w) {
         lab.backend().rmsnorm_backward(other(lab), false, w.row_range(1, 1), other(lab), other(lab),
                                        row(lab), lab.real(kSize, 1));
       }},
      {"layernorm",
       [=](Lab& lab, View w) {
         lab.backend().layernorm(w, lab.real(kSize, 2), other(lab), row(lab), row(lab), 1e-5);
       }},
      {"layernorm_backward",
       [=](Lab& lab, View w) {
         lab.backend().layernorm_backward(other(lab), false, row(lab), w.row_range(1, 1), other(lab),
                                          other(lab), row(lab), lab.real(kSize, 2));
       }},
      {"rotary", [=](Lab& lab, View w) { lab.backend().rotary(w, ids(lab), lab.real(1, 8), 2, 16, false); }},
      {"attention", [=](Lab& lab, View w) { attended(lab, w, {}, {}, {}); }},
      {"attention_backward dq",
       [=](Lab& lab, View w) { attended(lab, other(lab), w, other(lab), other(lab)); }},
      {"attention_backward dk",
       [=](Lab& lab, View w) { attended(lab, other(lab), other(lab), w, other(lab)); }},
      {"attention_backward dv",
       [=](Lab& lab, View w) { attended(lab, other(lab), other(lab), other(lab), w); }},
      {"cached_attention",
       [=](Lab& lab, View w) {
         lab.backend().cached_attention(w, other(lab), other(lab), other(lab),
                                        lab.ints(std::vector<int32_t>(kSize, 0)),
                                        lab.ints(std::vector<int32_t>(kSize, 5)), kSize, shape);
       }},
      {"swiglu", [=](Lab& lab, View w) { lab.backend().swiglu(w, lab.real(kSize, 2 * kSize)); }},
      {"swiglu_backward",
       [=](Lab& lab, View w) { lab.backend().swiglu_backward(w, lab.real(kSize, kSize / 2), other(lab)); }},
      {"gelu", [=](Lab& lab, View w) { lab.backend().gelu(w, other(lab)); }},
      {"gelu_backward", [=](Lab& lab, View w) { lab.backend().gelu_backward(w, other(lab), other(lab)); }},
      {"head",
       [=](Lab& lab, View w) {
         lab.backend().head({w.col_range(0, 1), {}, {}}, other(lab), other(lab), ids(lab), 1);
       }},
      {"head_backward",
       [=](Lab& lab, View w) {
         HeadGradients gradients;
         gradients.lse = lab.real(kSize, 1);
         lab.backend().head_backward(other(lab), true, w, {}, other(lab), other(lab), ids(lab), gradients, 1);
       }},
      {"adamw",
       [=](Lab& lab, View w) {
         const View v = lab.values(kSize, kSize, std::vector<double>(kSize * kSize, 1.0));
         lab.backend().adamw(w, other(lab), v, other(lab), {1e-1, 0.9, 0.95, 1e-8, 0.1, 3, 0.5});
       }},
      {"sample",
       [=](Lab& lab, View w) {
         const View uniforms = lab.values(kSize, 1, std::vector<double>(kSize, 0.5));
         lab.backend().sample(ids(lab), w.col_range(0, 1), other(lab), uniforms, {});
       }},
  };
}

std::vector<double> product_with(Lab& lab, View out, View a, View weight, bool keep) {
  lab.backend().matmul({out, a, false, weight, true, false, keep, {}, {}});
  return lab.read(out);
}

void check_writes(Device& device) {
  for (const auto& [name, write] : writes()) {
    Lab lab(device);
    const View weight = lab.real(kSize, kSize), a = lab.real(4, kSize), out = lab.real(4, kSize);
    const auto before = product_with(lab, out, a, weight, true);
    CHECK((product_with(lab, out, a, weight, true) == before));
    write(lab, weight);
    const auto after = product_with(lab, out, a, weight, true);
    INFO(name << " on " << device.name());
    CHECK((after != before));
    CHECK((after == product_with(lab, out, a, weight, false)));
  }
}

}  // namespace

TEST_CASE("a kept weight is packed anew after any write to it", "[runtime]") {
  for (const DType compute : {DType::f32, DType::bf16}) {
    check_writes(*open_device("cpu", 2, compute));
    check_writes(*guard_device(open_device("cpu", 2, compute)));
  }
}

TEST_CASE("a weight's packed form goes with its memory", "[runtime]") {
  for (const bool guarded : {false, true}) {
    auto device = open_device("cpu", 1, DType::bf16);
    if (guarded) device = guard_device(std::move(device));
    for (const double value : {1.0, 2.0, 3.0}) {  // the allocator gives the same place again
      Lab lab(*device);
      const View weight = lab.values(8, 8, std::vector<double>(64, value)),
                 a = lab.values(2, 8, std::vector<double>(16, 1.0)), out = lab.real(2, 8);
      CHECK((product_with(lab, out, a, weight, true) == std::vector<double>(16, 8 * value)));
    }
    Buffer first(*device, DType::f32, 8, 8);
    const void* place = first.view().data;
    Lab lab(*device);
    const View a = lab.values(2, 8, std::vector<double>(16, 1.0)), out = lab.real(2, 8);
    write_real(*device, first.view(), std::vector<float>(64, 1.0F));
    product_with(lab, out, a, first.view(), true);
    first = Buffer();
    const Buffer second(*device, DType::f32, 8, 8);  // zeroed, and not by a write
    if (second.view().data == place)
      CHECK((product_with(lab, out, a, second.view(), true) == std::vector<double>(16, 0.0)));
  }
}

TEST_CASE("kept weights and any number of rows give the same bits", "[runtime]") {
  for (const auto& [isa, compute] : available_arithmetics()) {
    const auto device = open_cpu_at(isa, 2, compute);
    Lab lab(*device);
    lab.set_halves(false);
    const View a = lab.computed(130, 1101), weight = lab.real(77, 1101), all = lab.computed(130, 77);
    lab.backend().matmul({all, a, false, weight, true, false, false, {}, {}});
    const auto expected = lab.read(all);
    for (const int64_t rows : {1, 2, 12, 13, 64, 65, 130}) {
      const View some = lab.computed(rows, 77);
      lab.backend().matmul({some, ConstView(a).row_range(0, rows), false, weight, true, false, true, {}, {}});
      INFO(rows << " rows on " << device->name());
      CHECK((lab.read(some) == std::vector<double>(expected.begin(), expected.begin() + rows * 77)));
    }
  }
}

TEST_CASE("the best instruction set is taken, and each states a peak", "[runtime]") {
  CHECK(open_device("cpu", 1)->name() == "cpu (" + available_isas().back() + ")");
  for (const auto& [isa, compute] : available_arithmetics()) {
    const auto device = open_cpu_at(isa, 2, compute);
    CHECK(device->name() == "cpu (" + isa + ")");
    CHECK(device->compute() == compute);
    CHECK(device->real() == DType::f32);
    const double peak = device->peak_flops();
    INFO(isa << ": " << peak);
    CHECK(std::isfinite(peak));
    CHECK(peak > 1e8);
    CHECK(peak < 1e14);
    CHECK(device->peak_flops() == peak);
  }
}

// What mixed precision adds to the contract: conversions bit by bit, operands rounded alike however they
// come, and a stated peak.

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"
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

TEST_CASE("filling takes a view of reals only", "[runtime]") {
  const auto device = open_device("cpu", 1, DType::bf16);
  const Buffer halves(*device, DType::bf16, 2, 3);
  CHECK_THROWS_AS(device->backend().fill(halves.view(), 0), Error);
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

// Weights whose packed form is kept: it is never outdated, and gives the bits of one packed anew.

#include <cstdint>
#include <utility>
#include <vector>

#include "lab.hpp"
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

std::vector<uint32_t> bits_of(Device& device, ConstView view) {
  std::vector<uint32_t> bits(static_cast<size_t>(view.size()));
  device.read(bits.data(), view.data, bits.size() * sizeof(uint32_t));
  return bits;
}

void check_writes(Device& device) {
  for (const auto& [name, write] : all_writes()) {
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

TEST_CASE("a kept weight is packed anew when int8 is written over it", "[runtime]") {
  for (const DType compute : {DType::f32, DType::bf16}) {
    auto device = open_device("cpu", 2, compute);
    for (int variant = 0; variant < 2; ++variant) {
      if (variant == 1) device = guard_device(std::move(device));
      Lab lab(*device);
      const View weight = lab.real(kSize, kSize), a = lab.real(4, kSize), out = lab.real(4, kSize);
      const View bytes(weight.data, DType::i8, 1, int8_bytes(kSize, kSize));  // the first of the weight's
      const auto before = product_with(lab, out, a, weight, true);
      lab.backend().quantize(int8_matrix(bytes, 0, kSize, kSize), lab.real(kSize, kSize), false);
      // Bits, because what int8 means as f32 may be no number.
      product_with(lab, out, a, weight, true);
      const auto kept = bits_of(*device, out);
      product_with(lab, out, a, weight, false);
      INFO(device->name());
      CHECK((kept == bits_of(*device, out)));
      CHECK((lab.read(out) != before));
    }
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

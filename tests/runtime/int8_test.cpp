// Weights in int8: how near they are, the same bytes and the same sums everywhere, and what is refused.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <vector>

#include "base/error.hpp"
#include "base/rng.hpp"
#include "lab.hpp"
#include "runtime/int8.hpp"
#include "scenarios.hpp"
#include "support/catch.hpp"

using namespace gristmill;
using namespace gristmill::runtime;
using namespace gristmill::runtime::test;

namespace {

/// A weight and its int8 form on one device.
struct Quantized {
  Quantized(Device& device, const std::vector<float>& values, int64_t rows, int64_t cols, bool transposed)
      : plain(device, device.real(), transposed ? cols : rows, transposed ? rows : cols),
        memory(device, DType::i8, 1, int8_bytes(rows, cols)),
        matrix(int8_matrix(memory.view(), 0, rows, cols)) {
    write_real(device, plain.view(), values);
    device.backend().quantize(matrix, plain.view(), transposed);
  }
  std::vector<char> bytes(Device& device) const {
    std::vector<char> all(static_cast<size_t>(memory.view().size()));
    device.read(all.data(), memory.view().data, all.size());
    return all;
  }
  Buffer plain, memory;
  View matrix;
};

std::vector<float> numbers(int64_t count, uint64_t seed) {
  Rng rng(seed, stream_of(RandomStream::test));
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = static_cast<float>(rng.normal());
  return values;
}

/// Row r's scale, as runtime/int8.hpp says that it lies.
float scale_in(const std::vector<char>& bytes, int64_t cols, int64_t r) {
  float scale = 0;
  std::memcpy(&scale, bytes.data() + r / 32 * int8_strip_bytes(cols) + r % 32 * 4, sizeof(scale));
  return scale;
}

std::vector<std::unique_ptr<Device>> all_devices() {
  std::vector<std::unique_ptr<Device>> devices;
  devices.push_back(open_reference_device(DType::f64));
  for (const auto& isa : available_isas()) devices.push_back(open_cpu_at(isa, 2));
  return devices;
}

Kind kind_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.kind();
  }
  return Kind::usage;
}

}  // namespace

TEST_CASE("no weight moves by more than half a scale, which is a 127th of the row's largest", "[runtime]") {
  for (const bool transposed : {false, true}) {
    for (const auto& device : all_devices()) {
      constexpr int64_t kRows = 41, kCols = 75;
      auto values = numbers(kRows * kCols, 3);
      for (int64_t c = 0; c < kCols; ++c)
        values[static_cast<size_t>(transposed ? c * kRows + 7 : 7 * kCols + c)] *= 1e-3F;
      values[5] = 40;  // an outlier, which costs its own row alone
      const Quantized weight(*device, values, kRows, kCols, transposed);
      const auto bytes = weight.bytes(*device);
      std::vector<int32_t> ids(kRows);
      for (int64_t r = 0; r < kRows; ++r) ids[static_cast<size_t>(r)] = static_cast<int32_t>(r);
      Lab lab(*device);
      const View rows = lab.real(kRows, kCols);
      device->backend().embedding(rows, weight.matrix, lab.ints(ids), false);
      const auto near = lab.read(rows);
      INFO(device->name() << (transposed ? " transposed" : ""));
      for (int64_t r = 0; r < kRows; ++r) {
        double largest = 0, worst = 0;
        for (int64_t c = 0; c < kCols; ++c) {
          const double value =
              static_cast<double>(values[static_cast<size_t>(transposed ? c * kRows + r : r * kCols + c)]);
          largest = std::max(largest, std::abs(value));
          worst = std::max(worst, std::abs(value - near[static_cast<size_t>(r * kCols + c)]));
        }
        const double scale = static_cast<double>(scale_in(bytes, kCols, r));
        CHECK(scale == Approx(largest / 127).epsilon(1e-6));
        CHECK(worst <= scale / 2 * (1 + 1e-5));
      }
    }
  }
}

TEST_CASE("every device makes the same bytes", "[runtime]") {
  const auto devices = all_devices();
  for (const auto& [rows, cols] :
       std::vector<std::pair<int64_t, int64_t>>{{1, 1}, {32, 64}, {33, 5}, {100, 130}}) {
    for (const bool transposed : {false, true}) {
      const auto values = numbers(rows * cols, 11);
      const auto expected = Quantized(*devices[0], values, rows, cols, transposed).bytes(*devices[0]);
      for (const auto& device : devices) {
        INFO(rows << " x " << cols << " on " << device->name());
        CHECK((Quantized(*device, values, rows, cols, transposed).bytes(*device) == expected));
      }
    }
  }
}

TEST_CASE("a product with int8 has the same bits on every instruction set, in any batch", "[runtime]") {
  constexpr int64_t kRows = 29, kCols = 70, kDepth = 203;
  const auto values = numbers(kCols * kDepth, 5), rows = numbers(kRows * kDepth, 6);
  for (const DType compute : {DType::f32, DType::bf16}) {
    std::vector<double> expected;
    for (const auto& isa : available_isas()) {
      for (const int threads : {1, 3}) {
        const auto device = open_cpu_at(isa, threads, compute);
        Lab lab(*device);
        const Quantized weight(*device, values, kCols, kDepth, false);
        const Buffer a(*device, compute, kRows, kDepth);
        write_real(*device, a.view(), std::span<const float>(rows));
        Matmul args;
        args.b = weight.matrix;
        args.transpose_b = true;
        args.a = a.view();
        args.out = lab.real(kRows, kCols);
        device->backend().matmul(args);
        const auto whole = lab.read(args.out);
        if (expected.empty()) expected = whole;
        INFO(isa << " on " << threads);
        CHECK((whole == expected));
        for (const int64_t count : {1, 4, 7}) {
          args.a = a.view().row_range(kRows - count, count);
          args.out = lab.real(count, kCols);
          device->backend().matmul(args);
          CHECK((lab.read(args.out) == std::vector<double>(whole.end() - count * kCols, whole.end())));
        }
      }
    }
  }
}

TEST_CASE("the longest row that is allowed does not overflow", "[runtime]") {
  // All factors at their largest, and of one sign: the sums are as large as sums can be.
  for (const auto& isa : available_isas()) {
    const auto device = open_cpu_at(isa, 1);
    Lab lab(*device);
    std::vector<float> values(static_cast<size_t>(2 * kInt8MostCols), -3);
    std::fill(values.begin() + kInt8MostCols, values.end(), 3.0F);
    const Quantized weight(*device, values, 2, kInt8MostCols, false);
    Matmul args;
    args.a = lab.values(1, kInt8MostCols, std::vector<double>(kInt8MostCols, -1));
    args.b = weight.matrix;
    args.transpose_b = true;
    args.out = lab.real(1, 2);
    device->backend().matmul(args);
    INFO(isa);
    CHECK(lab.read(args.out)[0] == Approx(3.0 * kInt8MostCols).epsilon(1e-6));
    CHECK(lab.read(args.out)[1] == Approx(-3.0 * kInt8MostCols).epsilon(1e-6));
  }
}

TEST_CASE("what is no number makes its own row no number, and nothing else", "[runtime]") {
  const float none = std::numeric_limits<float>::quiet_NaN(),
              infinite = std::numeric_limits<float>::infinity();
  for (const auto& device : all_devices()) {
    Lab lab(*device);
    auto values = numbers(3 * 20, 1);
    values[25] = none;
    const Quantized weight(*device, values, 3, 20, false);
    auto rows = numbers(4 * 20, 2);
    rows[3] = infinite;
    rows[45] = none;
    Matmul args;
    args.a = lab.values(4, 20, {rows.begin(), rows.end()});
    args.b = weight.matrix;
    args.transpose_b = true;
    args.out = lab.real(4, 3);
    device->backend().matmul(args);
    const auto out = lab.read(args.out);
    INFO(device->name());
    for (const size_t r : {1U, 3U}) {
      CHECK(std::isfinite(out[r * 3]));
      CHECK(std::isnan(out[r * 3 + 1]));
      CHECK(std::isfinite(out[r * 3 + 2]));
    }
    for (const size_t r : {0U, 2U}) CHECK_FALSE(std::isfinite(out[r * 3]));
  }
}

TEST_CASE("rows of zeros and of the smallest numbers stay what they are", "[runtime]") {
  for (const auto& device : all_devices()) {
    Lab lab(*device);
    std::vector<float> values(2 * 8, 0.0F);
    std::fill(values.begin() + 8, values.end(), 1e-40F);
    const Quantized weight(*device, values, 2, 8, false);
    Matmul args;
    args.a = lab.values(2, 8, {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1});
    args.b = weight.matrix;
    args.transpose_b = true;
    args.out = lab.real(2, 2);
    device->backend().matmul(args);
    INFO(device->name());
    for (const double value : lab.read(args.out)) CHECK(std::abs(value) < 1e-36);
  }
}

TEST_CASE("int8 is for weights of products forward, and nothing else", "[runtime]") {
  for (const auto& device : all_devices()) {
    Lab lab(*device);
    auto& backend = device->backend();
    const View weight = lab.int8(4, 4, 1, false), a = lab.real(4, 4), out = lab.real(4, 4);
    INFO(device->name());
    CHECK(kind_of([&] {
            backend.matmul({out, a, false, weight, false, false, false, {}, {}});
          }) == Kind::internal);
    CHECK(kind_of([&] {
            backend.matmul({out, a, true, weight, true, false, false, {}, {}});
          }) == Kind::internal);
    CHECK(kind_of([&] {
            backend.matmul({out, weight, false, a, true, false, false, {}, {}});
          }) == Kind::internal);
    CHECK(kind_of([&] {
            backend.matmul({weight, a, false, a, true, false, false, {}, {}});
          }) == Kind::internal);
    CHECK(kind_of([&] { backend.embedding_backward(weight, a, lab.ints({0, 1, 2, 3})); }) == Kind::internal);
    CHECK(kind_of([&] {
            backend.head_backward(out, true, lab.real(4, 4), {}, a, weight, lab.ints({0, 1, 2, 3}), {}, 1);
          }) == Kind::internal);
    CHECK(kind_of([&] { backend.quantize(out, a, false); }) == Kind::internal);
    CHECK(kind_of([&] { backend.quantize(weight, lab.real(4, 5), false); }) == Kind::internal);
    const Buffer large(*device, DType::i8, 1, int8_bytes(1, kInt8MostCols + 1));
    CHECK(kind_of([&] {
            backend.quantize(int8_matrix(large.view(), 0, 1, kInt8MostCols + 1),
                             lab.real(1, kInt8MostCols + 1), false);
          }) == Kind::internal);
    View narrow = weight;
    narrow.stride = 128;
    CHECK(kind_of([&] {
            backend.matmul({out, a, false, narrow, true, false, false, {}, {}});
          }) == Kind::internal);
  }
}

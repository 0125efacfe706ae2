#include <algorithm>
#include <limits>
#include <type_traits>
#include <utility>

#include "base/error.hpp"
#include "runtime/bfloat16.hpp"
#include "runtime/device.hpp"

namespace gristmill::runtime {

namespace {

size_t bytes_of(DType dtype, int64_t rows, int64_t cols) {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max() / 8;
  if (rows < 0 || cols < 0 || (cols > 0 && rows > kMost / cols)) {
    fail(Kind::internal, "buffer of ", rows, " x ", cols, " elements: no such size");
  }
  return static_cast<size_t>(rows * cols) * size_of(dtype);
}

void require_dense(const ConstView& view, size_t values) {
  if (view.stride != view.cols && view.rows > 1) fail(Kind::internal, "transfer of a view with gaps");
  if (static_cast<size_t>(view.size()) != values) {
    fail(Kind::internal, "transfer of ", values, " values to a view of ", view.rows, " x ", view.cols);
  }
}

/// Copies only where the types differ: a tensor may be as large as what memory is left.
template <class To, class From>
std::vector<To> converted(std::vector<From> values) {
  if constexpr (std::is_same_v<To, From>) {
    return values;
  } else {
    return {values.begin(), values.end()};
  }
}

template <class Stored, class T>
void write_as(Device& device, const View& to, std::span<const T> values) {
  if constexpr (std::is_same_v<Stored, T>) {
    device.write(to.data, values.data(), values.size_bytes());
  } else {
    std::vector<Stored> stored(values.size());
    std::transform(values.begin(), values.end(), stored.begin(),
                   [](T value) { return static_cast<Stored>(value); });
    device.write(to.data, stored.data(), stored.size() * sizeof(Stored));
  }
}

template <class T>
void write_values(Device& device, const View& to, std::span<const T> values) {
  require_dense(to, values.size());
  if (to.dtype == DType::f32) {
    write_as<float>(device, to, values);
  } else if (to.dtype == DType::f64) {
    write_as<double>(device, to, values);
  } else if (to.dtype == DType::bf16) {
    std::vector<Bfloat16> halves(values.size());
    std::transform(values.begin(), values.end(), halves.begin(),
                   [](T value) { return narrowed(static_cast<float>(value)); });
    device.write(to.data, halves.data(), halves.size() * sizeof(Bfloat16));
  } else {
    fail(Kind::internal, "write_real needs a view of f32, f64 or bf16");
  }
}

template <class T>
std::vector<T> read_values(Device& device, const ConstView& from) {
  const size_t size = static_cast<size_t>(from.size());
  require_dense(from, size);
  if (from.dtype == DType::f32) {
    std::vector<float> values(size);
    device.read(values.data(), from.data, size * sizeof(float));
    return converted<T>(std::move(values));
  }
  if (from.dtype == DType::bf16) {
    std::vector<Bfloat16> halves(size);
    device.read(halves.data(), from.data, size * sizeof(Bfloat16));
    std::vector<T> values(size);
    std::transform(halves.begin(), halves.end(), values.begin(),
                   [](Bfloat16 bits) { return static_cast<T>(widened(bits)); });
    return values;
  }
  if (from.dtype != DType::f64) fail(Kind::internal, "read_real needs a view of f32, f64 or bf16");
  std::vector<double> values(size);
  device.read(values.data(), from.data, size * sizeof(double));
  return converted<T>(std::move(values));
}

}  // namespace

Buffer::Buffer(Device& device, DType dtype, int64_t rows, int64_t cols) : device_(&device) {
  view_ = View(device.allocate(bytes_of(dtype, rows, cols)), dtype, rows, cols);
}

Buffer::~Buffer() {
  if (view_) device_->release(view_.data);
}

Buffer::Buffer(Buffer&& other) noexcept
    : device_(std::exchange(other.device_, nullptr)), view_(std::exchange(other.view_, View())) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(device_, other.device_);
  std::swap(view_, other.view_);
  return *this;
}

View Scratch::get(DType dtype, int64_t rows, int64_t cols) {
  const size_t bytes = bytes_of(dtype, rows, cols);
  if (region_ && bytes <= static_cast<size_t>(region_.size()) * size_of(region_.dtype)) {
    return View(region_.data, dtype, rows, cols);
  }
  if (!buffer_ || bytes > static_cast<size_t>(buffer_.view().size()) * sizeof(float)) {
    buffer_ = Buffer();  // first give back, then ask: the two need not fit together
    buffer_ = Buffer(*device_, DType::f32, 1, static_cast<int64_t>((bytes + 3) / 4));
  }
  return View(buffer_.view().data, dtype, rows, cols);
}

void Scratch::place(View region) {
  buffer_ = Buffer();
  region_ = region;
}

void write_real(Device& device, View to, std::span<const float> values) { write_values(device, to, values); }
void write_real(Device& device, View to, std::span<const double> values) { write_values(device, to, values); }

void write_ints(Device& device, View to, std::span<const int32_t> values) {
  require_dense(to, values.size());
  if (to.dtype != DType::i32) fail(Kind::internal, "write_ints needs a view of i32");
  device.write(to.data, values.data(), values.size_bytes());
}

std::vector<double> read_real(Device& device, ConstView from) { return read_values<double>(device, from); }
std::vector<float> read_float(Device& device, ConstView from) { return read_values<float>(device, from); }

std::vector<int32_t> read_ints(Device& device, ConstView from) {
  require_dense(from, static_cast<size_t>(from.size()));
  if (from.dtype != DType::i32) fail(Kind::internal, "read_ints needs a view of i32");
  std::vector<int32_t> values(static_cast<size_t>(from.size()));
  device.read(values.data(), from.data, values.size() * sizeof(int32_t));
  return values;
}

}  // namespace gristmill::runtime

#pragma once

// Rows of a view of the compute type as floats: in place where it is f32, by way of scratch where it is bf16.
// Kernels of rows thus know f32 only, and what they read was widened into the first-level cache just before.

#include <algorithm>
#include <cstdint>

#include "runtime/cpu/kernels.hpp"
#include "runtime/tensor.hpp"

namespace gristmill::runtime::cpu {

/// Some rows (or parts of rows) as floats.
template <class Number>
struct Floats {
  Number* data = nullptr;
  int64_t stride = 0;
};

class ComputedRows {
 public:
  ComputedRows(const Kernels& kernels, const ConstView& view)
      : kernels_(kernels), view_(view), narrow_(view.dtype == DType::bf16) {}

  bool narrow() const { return narrow_; }
  int64_t cols() const { return view_.cols; }

  /// Rows [first, first + rows), columns [col, col + cols) for reading; scratch has room for them.
  Floats<const float> read(int64_t first, int64_t rows, int64_t col, int64_t cols, float* scratch) const {
    if (!narrow_) return {static_cast<const float*>(view_.data) + at(first, col), view_.stride};
    for (int64_t r = 0; r < rows; ++r) kernels_.widen(scratch + r * cols, halves(first + r, col), cols);
    return {scratch, cols};
  }
  const float* read(int64_t row, float* scratch) const { return read(row, 1, 0, view_.cols, scratch).data; }

 protected:
  int64_t at(int64_t row, int64_t col) const { return row * view_.stride + col; }
  const uint16_t* halves(int64_t row, int64_t col) const {
    return static_cast<const uint16_t*>(view_.data) + at(row, col);
  }
  const Kernels& kernels_;
  ConstView view_;
  bool narrow_;
};

/// Rows that a kernel writes: it fills room(), then put() stores what has to be narrowed.
class WritableRows : public ComputedRows {
 public:
  WritableRows(const Kernels& kernels, const View& view) : ComputedRows(kernels, view) {}

  Floats<float> room(int64_t first, int64_t col, int64_t cols, float* scratch) const {
    if (narrow_) return {scratch, cols};
    return {const_cast<float*>(static_cast<const float*>(view_.data)) + at(first, col), view_.stride};
  }
  void put(int64_t first, int64_t rows, int64_t col, int64_t cols, const float* room) const {
    if (!narrow_) return;
    for (int64_t r = 0; r < rows; ++r) {
      kernels_.narrow(const_cast<uint16_t*>(halves(first + r, col)), room + r * cols, cols);
    }
  }
  float* room(int64_t row, float* scratch) const { return room(row, 0, view_.cols, scratch).data; }
  void put(int64_t row, const float* room) const { put(row, 1, 0, view_.cols, room); }
  /// Stores a row that was made elsewhere.
  void write(int64_t row, const float* values) const {
    if (narrow_) return put(row, values);
    std::copy_n(values, view_.cols, room(row, nullptr));
  }
};

}  // namespace gristmill::runtime::cpu

#pragma once

// A view with its element type: what kernels that run on the host index into.

#include <cstdint>

#include "runtime/tensor.hpp"

namespace gristmill::runtime {

template <class T>
struct Matrix {
  T* data = nullptr;
  int64_t rows = 0, cols = 0, stride = 0;

  Matrix() = default;
  template <class Pointer>
  Matrix(const BasicView<Pointer>& view)
      : data(static_cast<T*>(view.data)), rows(view.rows), cols(view.cols), stride(view.stride) {}

  explicit operator bool() const { return data != nullptr; }
  T* row(int64_t r) const { return data + r * stride; }
  T& at(int64_t r, int64_t c) const { return data[r * stride + c]; }
};

}  // namespace gristmill::runtime

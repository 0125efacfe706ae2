#pragma once

// Weights in int8 (runtime/int8.hpp), byte by byte; products with them are those with the values that they
// stand for.

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "runtime/int8.hpp"
#include "runtime/matrix.hpp"

namespace gristmill::runtime::reference {

/// Where the scale of row r lies, and its four bytes of a group.
template <class Byte>
Byte* int8_scale(Byte* matrix, int64_t stride, int64_t r) {
  return matrix + r / kInt8StripRows * stride + r % kInt8StripRows * static_cast<int64_t>(sizeof(float));
}
template <class Byte>
Byte* int8_item(Byte* matrix, int64_t stride, int64_t r, int64_t c) {
  return matrix + r / kInt8StripRows * stride + (1 + c / kInt8Group) * kInt8GroupBytes +
         r % kInt8StripRows * kInt8Group + c % kInt8Group;
}

/// A row without numbers has a scale that is none. A scale is at least the smallest normal float.
inline float int8_scale_of(const std::vector<float>& row) {
  float largest = 0;
  for (const float value : row) {
    if (!std::isfinite(value)) return std::numeric_limits<float>::quiet_NaN();
    largest = std::max(largest, std::abs(value));
  }
  return std::max(largest / 127.0F, FLT_MIN);
}

template <class Real>
void quantize(View out, ConstView weight_view, bool transposed) {
  const Matrix<const Real> weight(weight_view);
  auto* bytes = static_cast<char*>(out.data);
  std::memset(bytes, 0, static_cast<size_t>(int8_bytes(out.rows, out.cols)));
  std::vector<float> row(static_cast<size_t>(out.cols));
  for (int64_t r = 0; r < out.rows; ++r) {
    for (int64_t c = 0; c < out.cols; ++c) {
      row[static_cast<size_t>(c)] = static_cast<float>(transposed ? weight.at(c, r) : weight.at(r, c));
    }
    const float scale = int8_scale_of(row);
    std::memcpy(int8_scale(bytes, out.stride, r), &scale, sizeof(scale));
    if (std::isnan(scale)) continue;
    for (int64_t c = 0; c < out.cols; ++c) {
      *int8_item(bytes, out.stride, r, c) =
          static_cast<char>(std::nearbyint(row[static_cast<size_t>(c)] / scale));
    }
  }
}

/// The view as it is, or the values of a weight in int8.
template <class Real>
class Dequantized {
 public:
  explicit Dequantized(ConstView view) : view_(view) {
    if (view.dtype != DType::i8) return;
    values_.resize(static_cast<size_t>(view.size()));
    const auto* bytes = static_cast<const char*>(view.data);
    for (int64_t r = 0; r < view.rows; ++r) {
      float scale = 0;
      std::memcpy(&scale, int8_scale(bytes, view.stride, r), sizeof(scale));
      for (int64_t c = 0; c < view.cols; ++c) {
        const auto q = static_cast<signed char>(*int8_item(bytes, view.stride, r, c));
        values_[static_cast<size_t>(r * view.cols + c)] = static_cast<Real>(scale) * static_cast<Real>(q);
      }
    }
    view_ = View(values_.data(), sizeof(Real) == 8 ? DType::f64 : DType::f32, view.rows, view.cols);
  }
  Dequantized(const Dequantized&) = delete;
  Dequantized& operator=(const Dequantized&) = delete;
  ConstView view() const { return view_; }

 private:
  ConstView view_;
  std::vector<Real> values_;
};

}  // namespace gristmill::runtime::reference

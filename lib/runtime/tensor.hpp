#pragma once

// Views of device memory: what kernels take. A view owns nothing and the host must not follow its pointer:
// memory belongs to a Device, and only Device::read() brings values back.

#include <cstddef>
#include <cstdint>

namespace gristmill::runtime {

/// i8 is for weights alone, in the layout of runtime/int8.hpp.
enum class DType : uint8_t { f32, f64, bf16, i32, i8 };

constexpr size_t size_of(DType dtype) {
  switch (dtype) {
    case DType::f64:
      return 8;
    case DType::bf16:
      return 2;
    case DType::i8:
      return 1;
    default:
      return 4;
  }
}

/// A matrix: `rows` × `cols` elements, `stride` elements from row to row. A vector of n is 1 × n or n × 1. A
/// default view (no data) stands for "absent" where an argument is optional.
template <class Pointer>
struct BasicView {
  Pointer data = nullptr;
  DType dtype = DType::f32;
  int64_t rows = 0, cols = 0, stride = 0;

  explicit operator bool() const { return data != nullptr; }
  int64_t size() const { return rows * cols; }

  /// Rows [first, first + count).
  BasicView row_range(int64_t first, int64_t count) const { return part(first * stride, count, cols); }
  /// Columns [first, first + count) of every row.
  BasicView col_range(int64_t first, int64_t count) const { return part(first, rows, count); }
  /// The same elements as another matrix; only for views without gaps (stride == cols).
  BasicView reshaped(int64_t new_rows, int64_t new_cols) const {
    return BasicView{data, dtype, new_rows, new_cols, new_cols};
  }

 private:
  BasicView part(int64_t offset, int64_t new_rows, int64_t new_cols) const;
};

struct ConstView;

/// Writable view.
struct View : BasicView<void*> {
  View() = default;
  View(BasicView<void*> base) : BasicView<void*>(base) {}
  View(void* data_, DType dtype_, int64_t rows_, int64_t cols_)
      : BasicView<void*>{data_, dtype_, rows_, cols_, cols_} {}
};

/// Read-only view; every View is one.
struct ConstView : BasicView<const void*> {
  ConstView() = default;
  ConstView(BasicView<const void*> base) : BasicView<const void*>(base) {}
  ConstView(const View& view)
      : BasicView<const void*>{view.data, view.dtype, view.rows, view.cols, view.stride} {}
  ConstView(const BasicView<void*>& view)
      : BasicView<const void*>{view.data, view.dtype, view.rows, view.cols, view.stride} {}
};

template <>
inline BasicView<void*> BasicView<void*>::part(int64_t offset, int64_t new_rows, int64_t new_cols) const {
  return {static_cast<char*>(data) + offset * static_cast<int64_t>(size_of(dtype)), dtype, new_rows, new_cols,
          stride};
}
template <>
inline BasicView<const void*> BasicView<const void*>::part(int64_t offset, int64_t new_rows,
                                                           int64_t new_cols) const {
  return {static_cast<const char*>(data) + offset * static_cast<int64_t>(size_of(dtype)), dtype, new_rows,
          new_cols, stride};
}

}  // namespace gristmill::runtime

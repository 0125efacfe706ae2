#pragma once

// Rows of queries, keys and values as operands of small products, and rows of results back.

#include "runtime/cpu/kernels.hpp"
#include "runtime/cpu/pack_kernels.hpp"
#include "runtime/cpu/product_kernels.hpp"
#include "runtime/cpu/simd.hpp"

namespace gristmill::runtime::cpu {
namespace {

constexpr int64_t kKeyBlock = 64;

/// Hands out pieces of one memory, each aligned to a cache line; without memory it just counts.
class Cursor {
 public:
  explicit Cursor(float* memory) : memory_(memory) {}
  float* take(int64_t floats) {
    float* piece = memory_ == nullptr ? nullptr : memory_ + taken_;
    taken_ += padded(floats, 16);
    return piece;
  }
  int64_t taken() const { return taken_; }

 private:
  float* memory_;
  int64_t taken_ = 0;
};

GRISTMILL_INLINE Operand from_row(Operand m, int64_t row) {
  m.data = element(m, row, 0);
  return m;
}
GRISTMILL_INLINE Operand from_column(Operand m, int64_t col) {
  m.data = element(m, 0, col);
  return m;
}

GRISTMILL_INLINE void prefetch_rows(const Operand& m, int64_t first, int64_t rows, int64_t cols) {
  for (int64_t r = first; r < first + rows; ++r) {
    for (int64_t c = 0; c < cols; c += 64 / bytes_of(m)) __builtin_prefetch(element(m, r, c));
  }
}

/// Rows in blocks of `block`, the depth along a row: step k of row r is at r / block · block · steps + k ·
/// block + r % block. Rows missing from the last block are zero.
template <class Format>
void pack_blocks(float* to, int64_t block, const Operand& m, int64_t rows, int64_t depth) {
  const int64_t steps = steps_of<Format>(depth);
  for (int64_t first = 0; first < rows; first += block, to += block * steps) {
    const int64_t count = lesser(block, rows - first);
    if (count < block) {
      for (int64_t i = 0; i < block * steps; ++i) to[i] = 0;
    }
    for (int64_t r = 0; r < count; r += kStageLines) {
      prefetch_rows(m, first + r + kStageLines, lesser(kStageLines, rows - first - r - kStageLines), depth);
      pack_strip<Format>(to + r, block, m, true, element(m, first + r, 0), lesser(kStageLines, count - r),
                         depth);
    }
  }
}

/// Rows as the depth: column c of step k is at k · width + c, zero beyond `cols`.
template <class Format>
void pack_rows(float* to, int64_t width, const Operand& m, int64_t rows, int64_t cols) {
  if (cols < width) {
    for (int64_t i = 0; i < steps_of<Format>(rows) * width; ++i) to[i] = 0;
  }
  pack_strip<Format>(to, width, m, false, element(m, 0, 0), cols, rows);
}

/// Whether pack_rows() would just copy.
template <class Format>
GRISTMILL_INLINE bool is_stored_as_rows(const Operand& m) {
  return Format::kStep == 1 && is_stored_as_items<Format>(m.narrow);
}

/// Floats of one line as items along the line; in place where an item is a float. `size` is a multiple of 2
/// vectors.
template <class Format>
GRISTMILL_INLINE void items_of(float* items, const float* from, int64_t size) {
  if constexpr (Format::kStep == 2) {
    for (int64_t i = 0; i < size; i += 2 * kLanes) {
      store(items + i / 2, reinterpret_cast<Vec>(Format::halves(load(from + i), load(from + i + kLanes))));
    }
  } else {
    for (int64_t i = 0; i < size; i += kLanes) store(items + i, Format::item(load(from + i)));
  }
}

/// One row of an operand as floats, in `room` where they have to be widened.
GRISTMILL_INLINE const float* floats_of(float* room, const Operand& m, int64_t row, int64_t cols) {
  if (!m.narrow) return reinterpret_cast<const float*>(element(m, row, 0));
  const uint16_t* from = reinterpret_cast<const uint16_t*>(element(m, row, 0));
  each_vector(cols, [&](int64_t i, auto get, auto put) { put(room + i, get(from + i)); });
  return room;
}

template <class Element>
GRISTMILL_INLINE void put_row(Element* to, const float* from, int64_t cols) {
  each_vector(cols, [&](int64_t i, auto get, auto put) { put(to + i, get(from + i)); });
}

/// Rows of floats to rows of the result from `first` on.
void put_rows(const Result& to, int64_t first, const float* from, int64_t from_stride, int64_t rows,
              int64_t cols) {
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t offset = (first + r) * to.stride;
    if (to.narrow) {
      put_row(static_cast<uint16_t*>(to.data) + offset, from + r * from_stride, cols);
    } else {
      put_row(static_cast<float*>(to.data) + offset, from + r * from_stride, cols);
    }
  }
}

}  // namespace
}  // namespace gristmill::runtime::cpu

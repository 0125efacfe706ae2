#pragma once

// The end of a product, in registers: bias, residual, what was there before, rounding, and the activation of
// what was stored.

#include "cuda/activations.cuh"
#include "cuda/product_arguments.hpp"
#include "cuda/rows.cuh"

namespace gristmill::runtime::cuda {

__device__ inline void add(Four& sum, const Four& more) {
#pragma unroll
  for (int i = 0; i < kRun; ++i) sum.at[i] += more.at[i];
}

/// Stores `count` results from (row, col) on; returns them as they are stored.
__device__ inline Four finish(const ProductOutput& to, int64_t row, int64_t col, int count, Four value) {
  if (to.accumulate) add(value, load(to.out, row, col, count));
  if (to.bias != nullptr) add(value, load_floats(to.bias + col, count));
  if (to.residual.data != nullptr) add(value, load(to.residual, row, col, count));
  if (to.out.narrow) {
#pragma unroll
    for (int i = 0; i < kRun; ++i) value.at[i] = widened(narrowed(value.at[i]));
  }
  store(to.out, row, col, value, count);
  return value;
}

/// The same with GELU where it is wanted.
__device__ inline void finish_with_gelu(const ProductOutput& to, int64_t row, int64_t col, int count,
                                        const Four& value) {
  Four stored = finish(to, row, col, count, value);
  if (to.activated.data == nullptr) return;
#pragma unroll
  for (int i = 0; i < kRun; ++i) stored.at[i] = gelu_of(stored.at[i]);
  store(to.activated, row, col, stored, count);
}

/// The columns of out that a tile makes: those from `first` on; with pairs runs of 16 of the gate and of 16
/// of `up` take turns, so that a thread that finishes 32 columns has both.
struct Columns {
  int first, end;  ///< with pairs of the gate alone
  int pair;        ///< from a gate to its `up`, or 0
  /// The column of out of column c of the tile; -1 for none.
  __device__ int operator()(int c) const {
    if (pair == 0) return first + c < end ? first + c : -1;
    const int gate = first + c / 32 * 16 + c % 16;
    return gate < end ? gate + (c & 16 ? pair : 0) : -1;
  }
};

/// Columns of the `tile`-th tile of kCols.
template <int kCols>
__device__ inline Columns columns_of(const ProductOutput& to, int tile) {
  const int cols = static_cast<int>(to.out.cols);
  if (!to.pairs) return {tile * kCols, cols, 0};
  return {tile * (kCols / 2), cols / 2, cols / 2};
}

constexpr int kSlabRows = 16;

/// A warp finishes 16 × 32 results that it has laid into shared memory, so that lanes side by side write
/// columns side by side. `row` is that of the slab's first row, rows from row_end on do not exist; `col` is
/// the slab's first column in the tile. Pitches are 8 more than a multiple of 32 and keep clear of bank
/// conflicts. Turned: the slab's row r is row r%4 · 4 + r/4 of the 16.
template <int kPitch, bool kTurned = false>
__device__ inline void finish_slab(const ProductOutput& to, const float* slab, int row, int row_end,
                                   const Columns& columns, int col) {
  static_assert(kPitch % 32 == 8);
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const auto four_at = [&](int r, int c) {
    const float4 all = *reinterpret_cast<const float4*>(slab + r * kPitch + c);
    return Four{all.x, all.y, all.z, all.w};
  };
  const auto row_of = [row](int r) { return row + (kTurned ? r % 4 * 4 + r / 4 : r); };
  if (columns.pair == 0) {
    const int c = lane % 8 * kRun, at = columns.first + col + c, count = run_length(columns.end - at);
#pragma unroll 1
    for (int r = lane / 8; r < kSlabRows; r += 4) {
      if (row_of(r) < row_end && count > 0) finish_with_gelu(to, row_of(r), at, count, four_at(r, c));
    }
    return;
  }
  // Eight neighbouring lanes read two rows that are two apart: 2 · pitch is 16 banks.
  const int c = lane % 4 * kRun, at = columns.first + col / 2 + c, count = run_length(columns.end - at);
  const int first = (lane >> 4) * 4 + ((lane >> 2) & 1) * 2 + ((lane >> 3) & 1);
#pragma unroll 1
  for (int r = first; r < kSlabRows; r += 8) {
    if (row_of(r) >= row_end || count == 0) continue;
    const Four gate = finish(to, row_of(r), at, count, four_at(r, c));
    const Four up = finish(to, row_of(r), at + columns.pair, count, four_at(r, c + 16));
    Four result;
#pragma unroll
    for (int i = 0; i < kRun; ++i) result.at[i] = swiglu_of(gate.at[i], up.at[i]);
    store(to.activated, row_of(r), at, result, count);
  }
}

}  // namespace gristmill::runtime::cuda

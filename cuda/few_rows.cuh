#pragma once

// Products of few rows with a matrix whose depth is contiguous, as in decoding: what counts is that the
// matrix is read once, in whatever type it has. A warp makes four columns of out for kRows rows; lanes share
// the depth, and their sums are added up in a fixed order.

#include "cuda/product_output.cuh"
#include "cuda/reduce.cuh"

namespace gristmill::runtime::cuda {

constexpr int kFewCols = 4, kFewWarps = 4;  // of a warp; of a block

__device__ inline Four load_rounded(const ConstRows& m, int64_t row, int64_t col, int count, bool round) {
  Four value = load(m, row, col, count);
  if (round && !m.narrow) {
#pragma unroll
    for (int i = 0; i < kRun; ++i) value.at[i] = widened(narrowed(value.at[i]));
  }
  return value;
}

/// Rows [row, row + kRows) and the warp's columns. `round`: f32 operands are rounded to bf16.
template <int kRows>
__device__ inline void few_rows(const ConstRows& a, const ConstRows& b, bool round, int64_t row,
                                const ProductOutput& to) {
  const int64_t depth = a.cols, cols = to.out.cols,
                col = (blockIdx.x * kFewWarps + threadIdx.x / kWarp) * static_cast<int64_t>(kFewCols);
  if (col >= cols) return;
  const int lane = threadIdx.x % kWarp;
  float sum[kRows][kFewCols] = {};
  for (int64_t k = lane * kRun; k < depth; k += kWarp * kRun) {
    const int count = run_length(depth - k);
    Four right[kFewCols];
#pragma unroll
    for (int j = 0; j < kFewCols; ++j) {
      right[j] = {};
      if (col + j < cols) right[j] = load_rounded(b, col + j, k, count, round);
    }
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      if (row + r >= to.out.rows) continue;
      const Four left = load_rounded(a, row + r, k, count, round);
#pragma unroll
      for (int j = 0; j < kFewCols; ++j) {
#pragma unroll
        for (int i = 0; i < kRun; ++i) sum[r][j] = fmaf(left.at[i], right[j].at[i], sum[r][j]);
      }
    }
  }
  Four mine = {};
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    Four all;
#pragma unroll
    for (int j = 0; j < kFewCols; ++j) all.at[j] = warp_sum(sum[r][j]);
    if (lane == r) mine = all;
  }
  if (lane < kRows && row + lane < to.out.rows)
    finish_with_gelu(to, row + lane, col, run_length(cols - col), mine);
}

}  // namespace gristmill::runtime::cuda

// Element-wise work, rows by index, and sums: bound by memory, so that what counts is that neighbouring lanes
// touch neighbouring bytes.

#include "cuda/reduce.cuh"
#include "cuda/rows.cuh"

using namespace gristmill::runtime::cuda;

extern "C" __global__ void fill(Rows out, uint32_t across, float value) {
  const Place at = place_in(across, out.rows, out.cols);
  if (at.count > 0) store(out, at.row, at.col, {value, value, value, value}, at.count);
}

extern "C" __global__ void copy(Rows out, ConstRows in, uint32_t across) {
  const Place at = place_in(across, out.rows, out.cols);
  move(out, at, in, at.row);
}

extern "C" __global__ void axpy(Rows out, float scale, ConstRows in, uint32_t across) {
  const Place at = place_in(across, out.rows, out.cols);
  if (at.count == 0) return;
  const Four added = load(in, at.row, at.col, at.count);
  Four sum = load(out, at.row, at.col, at.count);
#pragma unroll
  for (int i = 0; i < kRun; ++i) sum.at[i] = fmaf(scale, added.at[i], sum.at[i]);
  store(out, at.row, at.col, sum, at.count);
}

extern "C" __global__ void gather_rows(Rows out, ConstRows in, Indices rows, uint32_t across) {
  const Place at = place_in(across, out.rows, out.cols);
  if (at.count > 0) move(out, at, in, index_at(rows, at.row, in.rows));
}

extern "C" __global__ void scatter_rows(Rows out, ConstRows in, Indices rows, uint32_t across) {
  Place at = place_in(across, in.rows, in.cols);
  if (at.count == 0) return;
  const int64_t from = at.row;
  at.row = index_at(rows, from, out.rows);
  move(out, at, in, from);
}

namespace {

constexpr int kSumLanes = 8;         // rows that a block of sums reads at once
constexpr int kSumCols = 32 * kRun;  // columns of such a block
constexpr int kSumTile = 4096;       // elements of one turn of a sum of squares
constexpr int kSumThreads = 256;     // of a block of such a sum

}  // namespace

/// partial[band, col] = the sum of the band's rows. Blocks of 32 × 8 threads: lanes side by side take 4
/// columns each, lanes below each other every eighth row.
extern "C" __global__ void sum_rows(ConstRows in, float* partial, int64_t band_rows, uint32_t across) {
  __shared__ float4 sums[kSumLanes][kWarp];
  const uint32_t band = blockIdx.x / across;
  const int64_t col = static_cast<int64_t>(blockIdx.x - band * across) * kSumCols + threadIdx.x * kRun;
  const int64_t first = band * band_rows, last = min(first + band_rows, in.rows);
  const int count = run_length(in.cols - col);
  Four sum = {};
  for (int64_t row = first + threadIdx.y; row < last && count > 0; row += kSumLanes) {
    const Four more = load(in, row, col, count);
#pragma unroll
    for (int i = 0; i < kRun; ++i) sum.at[i] += more.at[i];
  }
  sums[threadIdx.y][threadIdx.x] = make_float4(sum.at[0], sum.at[1], sum.at[2], sum.at[3]);
  __syncthreads();
  if (threadIdx.y > 0 || count == 0) return;
  for (int lane = 1; lane < kSumLanes; ++lane) {
    const float4 more = sums[lane][threadIdx.x];
    sum.at[0] += more.x;
    sum.at[1] += more.y;
    sum.at[2] += more.z;
    sum.at[3] += more.w;
  }
  store_floats(partial + band * in.cols + col, sum, count);
}

/// out += the sum of `count` rows of partial sums, `pitch` apart: finished first, then added once. Blocks of
/// 32 × 8: each of the eight sums a run of rows, then the runs are added up in order.
extern "C" __global__ void add_partials(Rows out, const float* partial, int64_t count, int64_t pitch) {
  __shared__ float sums[kSumLanes][kWarp];
  const int64_t col = static_cast<int64_t>(blockIdx.x) * kWarp + threadIdx.x;
  const int64_t run = (count + kSumLanes - 1) / kSumLanes;
  const int64_t first = threadIdx.y * run, last = min(first + run, count);
  float sum = 0;
  if (col < out.cols) {
#pragma unroll 4
    for (int64_t row = first; row < last; ++row) sum += partial[row * pitch + col];
  }
  sums[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y > 0 || col >= out.cols) return;
  for (int lane = 1; lane < kSumLanes; ++lane) sum += sums[lane][threadIdx.x];
  static_cast<float*>(out.data)[col] += sum;
}

/// partial[block] = a block's share of Σ in²: every gridDim.x-th tile.
extern "C" __global__ void sum_of_squares(ConstRows in, double* partial, int64_t across) {
  __shared__ double parts[kMostWarps];
  double sum = 0;
  for (int64_t tile = blockIdx.x; tile < in.rows * across; tile += gridDim.x) {
    const int64_t row = tile / across, begin = (tile - row * across) * kSumTile;
    const int64_t end = min(begin + kSumTile, in.cols);
    for (int64_t col = begin + threadIdx.x * kRun; col < end; col += kSumThreads * kRun) {
      const Four values = load(in, row, col, run_length(end - col));
#pragma unroll
      for (int i = 0; i < kRun; ++i) {
        sum += static_cast<double>(values.at[i]) * static_cast<double>(values.at[i]);
      }
    }
  }
  sum = block_sum(sum, parts);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

/// One block: out = the sum of `count` numbers.
extern "C" __global__ void sum_doubles(double* out, const double* partial, int64_t count) {
  __shared__ double parts[kMostWarps];
  double sum = 0;
  for (int64_t i = threadIdx.x; i < count; i += kSumThreads) sum += partial[i];
  sum = block_sum(sum, parts);
  if (threadIdx.x == 0) *out = sum;
}

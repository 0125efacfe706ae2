// RMSNorm (Zhang & Sennrich 2019) and LayerNorm (Ba et al. 2016). A row belongs to a warp where it is short
// (a block of 32 × 8 threads has eight rows) and to a block of 256 threads where it is long; blockDim says
// which.
//
// With x̂ the normalised row and g = dout·weight the gradients are
//   din = rstd·(g - mean(g) - x̂·mean(g·x̂)), without mean(g) for RMSNorm; dweight = Σ dout·x̂; dbias = Σ dout.

#include "cuda/reduce.cuh"
#include "cuda/rows.cuh"

using namespace gristmill::runtime::cuda;

namespace {

constexpr int kThreads = 256,
              kBlocks = 4;  // blocks that shall fit a multiprocessor: 64 registers a thread, none spilled

/// Calls body(col, count) for the runs of a row that this thread works on.
template <class Body>
__device__ inline void each_run(int64_t cols, const Body& body) {
  for (int64_t col = threadIdx.x * kRun; col < cols; col += blockDim.x * kRun) {
    body(col, run_length(cols - col));
  }
}

__device__ inline int64_t row_of_block() {
  return static_cast<int64_t>(blockIdx.x) * blockDim.y + threadIdx.y;
}

struct TwoSums {
  float first, second;
};

/// Two sums with one barrier, as block_sum().
__device__ inline TwoSums block_sums(TwoSums sums, float2* parts) {
  sums = {warp_sum(sums.first), warp_sum(sums.second)};
  if (blockDim.x == kWarp) return sums;
  if (threadIdx.x % kWarp == 0) parts[threadIdx.x / kWarp] = make_float2(sums.first, sums.second);
  __syncthreads();
  sums = {0, 0};
  for (uint32_t warp = 0; warp < kThreads / kWarp; ++warp) {
    sums.first += parts[warp].x;
    sums.second += parts[warp].y;
  }
  return sums;
}

/// Sums in shared memory, which is aligned and has room for whole runs.
__device__ inline Four load_sums(const float* p) {
  const float4 all = *reinterpret_cast<const float4*>(p);
  return {all.x, all.y, all.z, all.w};
}
__device__ inline void store_sums(float* p, const Four& in) {
  *reinterpret_cast<float4*>(p) = make_float4(in.at[0], in.at[1], in.at[2], in.at[3]);
}

struct NormGradient {
  Rows din;
  bool accumulate;
  ConstRows dout, in, weight, moments;
};

/// din of one row; adds its part of dweight (and dbias) to `sums`, of which each thread has its own columns.
template <bool kCentred>
__device__ __forceinline__ void backward_row(const NormGradient& args, int64_t row, float* sums,
                                             int64_t pitch, float2* parts) {
  const int64_t cols = args.in.cols;
  const float mean = kCentred ? element(args.moments, row, 0) : 0.0f;
  const float rstd = element(args.moments, row, kCentred ? 1 : 0);
  TwoSums total = {0, 0};
  each_run(cols, [&](int64_t col, int count) {
    const Four d = load(args.dout, row, col, count), w = load(args.weight, 0, col, count);
    const Four x = load(args.in, row, col, count);
#pragma unroll
    for (int i = 0; i < kRun; ++i) {
      const float g = d.at[i] * w.at[i];
      if (kCentred) total.first += g;
      total.second = fmaf(g, (x.at[i] - mean) * rstd, total.second);
    }
  });
  total = block_sums(total, parts);
  const float mean_g = total.first / static_cast<float>(cols),
              mean_gx = total.second / static_cast<float>(cols);
  each_run(cols, [&](int64_t col, int count) {
    const Four d = load(args.dout, row, col, count), w = load(args.weight, 0, col, count);
    const Four x = load(args.in, row, col, count);
    Four out = args.accumulate ? load(args.din, row, col, count) : Four{};
    Four weights = load_sums(sums + col), biases = {};
    if (kCentred) biases = load_sums(sums + pitch + col);
#pragma unroll
    for (int i = 0; i < kRun; ++i) {
      const float unit = (x.at[i] - mean) * rstd;
      weights.at[i] = fmaf(d.at[i], unit, weights.at[i]);
      biases.at[i] += d.at[i];
      out.at[i] += rstd * (fmaf(d.at[i], w.at[i], -mean_g) - unit * mean_gx);
    }
    store(args.din, row, col, out, count);
    store_sums(sums + col, weights);
    if (kCentred) store_sums(sums + pitch + col, biases);
  });
}

/// A block's band of rows. partial holds for each block `kSums` runs of pitch floats (dweight, then dbias);
/// dynamic shared memory holds as many for each row of threads.
template <bool kCentred>
__device__ __forceinline__ void backward_band(const NormGradient& args, float* partial, int64_t band_rows,
                                              int64_t pitch) {
  extern __shared__ float4 shared[];
  __shared__ float2 parts[2][kMostWarps];
  constexpr int kSums = kCentred ? 2 : 1;
  float* all = reinterpret_cast<float*>(shared);
  float* own = all + threadIdx.y * kSums * pitch;
  for (int64_t i = threadIdx.x * kRun; i < pitch; i += blockDim.x * kRun) {
#pragma unroll
    for (int s = 0; s < kSums; ++s) store_sums(own + s * pitch + i, {});
  }
  const int64_t first = blockIdx.x * band_rows, last = min(first + band_rows, args.in.rows);
  int turn = 0;
  for (int64_t row = first + threadIdx.y; row < last; row += blockDim.y, turn ^= 1) {
    backward_row<kCentred>(args, row, own, pitch, parts[turn]);
  }
  __syncthreads();
  const int64_t size = kSums * pitch;
  for (int64_t i = threadIdx.y * blockDim.x + threadIdx.x; i < size; i += kThreads) {
    float sum = all[i];
    for (uint32_t y = 1; y < blockDim.y; ++y) sum += all[y * size + i];
    partial[blockIdx.x * size + i] = sum;
  }
}

}  // namespace

extern "C" __global__ void __launch_bounds__(kThreads, kBlocks)
    rmsnorm(Rows out, Rows rstd, ConstRows in, ConstRows weight, float eps) {
  __shared__ float parts[kMostWarps];
  const int64_t row = row_of_block();
  if (row >= in.rows) return;  // a warp as a whole: blocks of one long row have no such
  float squares = 0;
  each_run(in.cols, [&](int64_t col, int count) {
    const Four x = load(in, row, col, count);
#pragma unroll
    for (int i = 0; i < kRun; ++i) squares = fmaf(x.at[i], x.at[i], squares);
  });
  const float scale = 1.0f / sqrtf(block_sum(squares, parts) / static_cast<float>(in.cols) + eps);
  if (threadIdx.x == 0) store(rstd, row, 0, {scale}, 1);
  each_run(in.cols, [&](int64_t col, int count) {
    const Four x = load(in, row, col, count), w = load(weight, 0, col, count);
    Four result;
#pragma unroll
    for (int i = 0; i < kRun; ++i) result.at[i] = x.at[i] * scale * w.at[i];
    store(out, row, col, result, count);
  });
}

extern "C" __global__ void __launch_bounds__(kThreads, kBlocks)
    layernorm(Rows out, Rows moments, ConstRows in, ConstRows weight, ConstRows bias, float eps) {
  __shared__ float parts[2][kMostWarps];
  const int64_t row = row_of_block();
  if (row >= in.rows) return;
  const float cols = static_cast<float>(in.cols);
  float sum = 0;
  each_run(in.cols, [&](int64_t col, int count) {
    const Four x = load(in, row, col, count);
#pragma unroll
    for (int i = 0; i < kRun; ++i) sum += x.at[i];
  });
  const float mean = block_sum(sum, parts[0]) / cols;
  float squares = 0;  // in a second pass: a difference of large sums would lose the digits
  each_run(in.cols, [&](int64_t col, int count) {
    const Four x = load(in, row, col, count);
#pragma unroll
    for (int i = 0; i < kRun; ++i) {
      if (i < count) squares = fmaf(x.at[i] - mean, x.at[i] - mean, squares);
    }
  });
  const float rstd = 1.0f / sqrtf(block_sum(squares, parts[1]) / cols + eps);
  if (threadIdx.x == 0) store(moments, row, 0, {mean, rstd}, 2);
  each_run(in.cols, [&](int64_t col, int count) {
    const Four x = load(in, row, col, count), w = load(weight, 0, col, count), b = load(bias, 0, col, count);
    Four result;
#pragma unroll
    for (int i = 0; i < kRun; ++i) result.at[i] = fmaf((x.at[i] - mean) * rstd, w.at[i], b.at[i]);
    store(out, row, col, result, count);
  });
}

extern "C" __global__ void __launch_bounds__(kThreads, kBlocks)
    rmsnorm_backward(Rows din, bool accumulate, float* partial, ConstRows dout, ConstRows in,
                     ConstRows weight, ConstRows rstd, int64_t band_rows, int64_t pitch) {
  backward_band<false>({din, accumulate, dout, in, weight, rstd}, partial, band_rows, pitch);
}

extern "C" __global__ void __launch_bounds__(kThreads, kBlocks)
    layernorm_backward(Rows din, bool accumulate, float* partial, ConstRows dout, ConstRows in,
                       ConstRows weight, ConstRows moments, int64_t band_rows, int64_t pitch) {
  backward_band<true>({din, accumulate, dout, in, weight, moments}, partial, band_rows, pitch);
}

#pragma once

// Squares of scores and sums of gradients, as the backward of attention handles them: kRows rows that stay,
// against kStreamed rows at a time of the other side. The same steps in bf16 on tensor cores and in f32.
//
// Tiles in shared memory: two that stay (the block's rows of q and dout, or of k and v), then two that are
// streamed, kBuffers times.

#include "cuda/attention_products.cuh"

namespace gristmill::runtime::cuda {

/// Warp w has rows 16·(w % 4) … and, of the sums, the (w / 4)-th part of the columns.
template <int kWidth>
struct HalfGradient {
  using Element = uint16_t;
  using Shape = HalfShape<kWidth>;
  static constexpr int kHead = kWidth, kRows = Shape::kBackwardRows, kStreamed = Shape::kStreamedRows;
  static constexpr int kThreads = Shape::kBackwardThreads, kOwn = 2, kBuffers = 2,
                       kPart = kWidth / Shape::kColumnParts;
  using Scores = float[kStreamed / 8][4];
  using Sums = float[kPart / 8][4];

  __device__ static int lane() { return static_cast<int>(threadIdx.x) % 32; }
  __device__ static int first_row() { return static_cast<int>(threadIdx.x) / 32 % 4 * 16; }
  __device__ static int part() { return static_cast<int>(threadIdx.x) / 128 * kPart; }
  /// Rows of the warp: [first_row(), first_row() + kWarpRows).
  static constexpr int kWarpRows = 16;
  __device__ static int row(int i) { return first_row() + lane() / 4 + i * 8; }

  /// Rows of a tile that stays against a streamed one.
  __device__ static void multiply(Scores& scores, const Element* rows, const Element* streamed) {
    multiply_rows<kWidth, kStreamed>(scores, rows + first_row() * Shape::kPitch, streamed);
  }
  /// Calls body(i, column, index) for this thread's scores; at(scores, index) is the score.
  template <class Body>
  __device__ static void each(const Body& body) {
#pragma unroll
    for (int j = 0; j < kStreamed / 8; ++j) {
#pragma unroll
      for (int e = 0; e < 4; ++e) body(e / 2, j * 8 + lane() % 4 * 2 + e % 2, j * 4 + e);
    }
  }
  __device__ static float& at(Scores& scores, int index) { return scores[index / 4][index % 4]; }
  __device__ static void add(Sums& sums, const Scores& weights, const Element* streamed, float*) {
    add_weighted<kWidth, kStreamed, kPart>(sums, weights, streamed + part());
  }
  __device__ static void store(const Sums& sums, int i, const Head& to, int64_t at, float factor) {
    store_row<kPart>(to, at, part(), factor, [&](int j, int e) { return sums[j][i * 2 + e]; });
  }
};

/// 16 × 16 threads; weights pass through shared memory.
template <int kWidth>
struct FloatGradient {
  using Element = float;
  using Shape = FloatShape<kWidth>;
  static constexpr int kHead = kWidth, kRows = Shape::kBackwardRows, kStreamed = kRows;
  static constexpr int kThreads = Shape::kBackwardThreads, kOwn = kRows / 16, kBuffers = 1,
                       kWarpRows = kOwn * 2;
  using Scores = float[kOwn][kOwn];
  using Sums = float[kOwn][kWidth / 16];

  __device__ static int first_row() { return static_cast<int>(threadIdx.x) / 32 * kWarpRows; }
  __device__ static int row(int i) { return static_cast<int>(threadIdx.x) / 16 * kOwn + i; }
  __device__ static void multiply(Scores& scores, const Element* rows, const Element* streamed) {
    multiply_rows<kWidth, kOwn>(scores, rows, streamed);
  }
  template <class Body>
  __device__ static void each(const Body& body) {
#pragma unroll
    for (int i = 0; i < kOwn; ++i) {
#pragma unroll
      for (int j = 0; j < kOwn; ++j) body(i, static_cast<int>(threadIdx.x) % 16 + j * 16, i * kOwn + j);
    }
  }
  __device__ static float& at(Scores& scores, int index) { return scores[index / kOwn][index % kOwn]; }
  __device__ static void add(Sums& sums, const Scores& weights, const Element* streamed, float* shared) {
    share_weights<kOwn>(shared, weights);
    add_weighted<kWidth, kOwn>(sums, shared, streamed);
  }
  __device__ static void store(const Sums& sums, int i, const Head& to, int64_t at, float factor) {
    store_sums<kWidth>(to, at, factor, sums[i]);
  }
};

/// Where tiles begin: `which` is 0 or 1.
template <class Gradient>
__device__ inline typename Gradient::Element* kept_tile(int which) {
  return reinterpret_cast<typename Gradient::Element*>(shared_bytes) +
         which * Gradient::kRows * Gradient::Shape::kPitch;
}
template <class Gradient>
__device__ inline typename Gradient::Element* streamed_tile(int which, int buffer) {
  return kept_tile<Gradient>(2) + (buffer * 2 + which) * Gradient::kStreamed * Gradient::Shape::kPitch;
}
/// Room for weights behind them, where a Gradient shares them.
template <class Gradient>
__device__ inline float* shared_weights() {
  return reinterpret_cast<float*>(streamed_tile<Gradient>(0, Gradient::kBuffers));
}

/// Starts copying rows [first, end) of a head into a tile of kRows.
template <class Gradient, int kRows>
__device__ inline void load_rows(typename Gradient::Element* to, const Head& from, int first, int end) {
  load_tile<kRows, Gradient::kHead, Gradient::kThreads>(to, from, RowsFrom{from.stride, first, end});
}

/// Runs body(step, buffer) for each step, whose tiles load(step, buffer) copies: the next ones while body
/// works where there are two buffers. What was copied before counts as part of the first step.
template <class Gradient, class Load, class Body>
__device__ inline void stream(int steps, const Load& load, const Body& body) {
  if (Gradient::kBuffers == 2 && steps > 0) load(0, 0);
  for (int step = 0; step < steps; ++step) {
    if constexpr (Gradient::kBuffers == 2) {
      wait_copies<0>();
      __syncthreads();  // this step's tiles are there, and nobody reads those of the last one
      if (step + 1 < steps) load(step + 1, (step + 1) % 2);
      body(step, step % 2);
    } else {
      if (step > 0) __syncthreads();
      load(step, 0);
      wait_copies<0>();
      __syncthreads();
      body(step, 0);
    }
  }
}

}  // namespace gristmill::runtime::cuda

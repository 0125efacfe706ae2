#pragma once

// Attention of a tile of rows over a range of keys with an online softmax (Dao et al. 2022, algorithm 1; Dao
// 2023; Milakov & Gimelshein 2018): scores and weights of one tile of keys at a time, sums rescaled when a
// row's maximum grows. What a row is and which keys it sees is the caller's: training and caches share this.
//
// Keys and values have a tile each in shared memory. Values are copied while scores are made, the next keys
// while values are summed up, so that copies are always under way with two tiles, not four. Two barriers a
// tile.
//
// A block whose warp sees nothing of a tile only helps to copy it: rows behind the diagonal, in a later
// document, or none at all, as when a single row attends over a cache.

#include "cuda/attention_products.cuh"

namespace gristmill::runtime::cuda {

/// Tiles in shared memory: queries, keys, values, and weights where they are shared.
template <class Attention>
__device__ inline typename Attention::Element* tile(int which) {
  constexpr int kPitch = Attention::Shape::kPitch;
  return reinterpret_cast<typename Attention::Element*>(shared_bytes) +
         (which == 0 ? 0 : (Attention::kRows + (which - 1) * Attention::kKeys) * kPitch);
}
constexpr int kQueryTile = 0, kKeyTile = 1, kValueTile = 2, kWeightTile = 3;

/// The running softmax of one row, in units of log2.
struct RunningSoftmax {
  float top = -INFINITY, sum = 0;

  /// Takes a new maximum in; returns the factor for what was summed before. `base` is the finite maximum to
  /// subtract: nothing but -inf so far stays at weights of zero.
  __device__ float raise(float new_top, float& base) {
    new_top = fmaxf(top, new_top);
    base = new_top == -INFINITY ? 0.0f : new_top;
    const float shrink = power_of_two(top - base);
    top = new_top;
    sum *= shrink;
    return shrink;
  }
  __device__ float inverse() const { return sum > 0 ? 1.0f / sum : 0.0f; }
  __device__ float lse() const { return (top + log2f(sum)) * kLn2; }
};

/// Maximum or sum over kLanes neighbouring lanes.
template <int kLanes>
__device__ inline float largest_of(float value) {
#pragma unroll
  for (int distance = 1; distance < kLanes; distance *= 2)
    value = fmaxf(value, __shfl_xor_sync(kAllLanes, value, distance));
  return value;
}
template <int kLanes>
__device__ inline float sum_of(float value) {
#pragma unroll
  for (int distance = 1; distance < kLanes; distance *= 2)
    value += __shfl_xor_sync(kAllLanes, value, distance);
  return value;
}

/// Products in bf16. A thread has parts of two rows: lane/4 and lane/4 + 8 of its warp's 16.
template <int kWidth>
struct HalfAttention {
  using Element = uint16_t;
  using Shape = HalfShape<kWidth>;
  static constexpr int kRows = Shape::kRows, kKeys = Shape::kKeys, kThreads = Shape::kThreads, kOwn = 2,
                       kTileWidth = kWidth;
  __device__ static int row(int i) {
    return static_cast<int>(threadIdx.x) / 32 * 16 + static_cast<int>(threadIdx.x) % 32 / 4 + i * 8;
  }
  /// Whether this thread speaks for its rows where one has to.
  __device__ static bool speaks() { return threadIdx.x % 4 == 0; }

  /// Weights of kKeys keys from `key` on.
  __device__ void weigh(const Span (&sees)[kOwn], bool masked, int key, float scale) {
    multiply_rows<kWidth, kKeys>(
        weights, tile<HalfAttention>(kQueryTile) + threadIdx.x / 32 * 16 * HalfShape<kWidth>::kPitch,
        tile<HalfAttention>(kKeyTile));
#pragma unroll
    for (int j = 0; j < kKeys / 8; ++j) {
#pragma unroll
      for (int e = 0; e < 4; ++e) weights[j][e] *= scale;
    }
    if (masked) hide(sees, key);
#pragma unroll
    for (int i = 0; i < kOwn; ++i) {
      float top = -INFINITY;
#pragma unroll
      for (int j = 0; j < kKeys / 8; ++j) {
#pragma unroll
        for (int e = i * 2; e < i * 2 + 2; ++e) top = fmaxf(top, weights[j][e]);
      }
      float base = 0, sum = 0;
      const float shrink = softmax[i].raise(largest_of<4>(top), base);
#pragma unroll
      for (int j = 0; j < kKeys / 8; ++j) {
#pragma unroll
        for (int e = 0; e < 2; ++e) {
          float& weight = weights[j][i * 2 + e];
          weight = power_of_two(weight - base);
          sum += weight;
        }
      }
      softmax[i].sum += sum_of<4>(sum);
#pragma unroll
      for (int j = 0; j < kWidth / 8; ++j) {
        sums[j][i * 2] *= shrink;
        sums[j][i * 2 + 1] *= shrink;
      }
    }
  }
  /// Scores of keys that a row does not see become -inf.
  __device__ void hide(const Span (&sees)[kOwn], int key) {
#pragma unroll
    for (int j = 0; j < kKeys / 8; ++j) {
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const int at = key + j * 8 + static_cast<int>(threadIdx.x) % 4 * 2 + e % 2;
        if (!sees[e / 2].sees(at)) weights[j][e] = -INFINITY;
      }
    }
  }
  /// Adds the values with these weights.
  __device__ void add() {
    add_weighted<kWidth, kKeys, kWidth>(sums, weights, tile<HalfAttention>(kValueTile));
  }
  __device__ void store(int i, const Head& to, int64_t at, float factor) const {
    store_row<kWidth>(to, at, 0, factor, [&](int j, int e) { return sums[j][i * 2 + e]; });
  }

  RunningSoftmax softmax[kOwn];
  float sums[kWidth / 8][4] = {}, weights[kKeys / 8][4];
};

/// Products in f32. A thread has parts of kRows/16 rows, which 16 lanes share.
template <int kWidth>
struct FloatAttention {
  using Element = float;
  using Shape = FloatShape<kWidth>;
  static constexpr int kRows = Shape::kRows, kKeys = Shape::kKeys, kThreads = Shape::kThreads,
                       kOwn = kRows / 16, kTileWidth = kWidth;
  __device__ static int row(int i) { return static_cast<int>(threadIdx.x) / 16 * kOwn + i; }
  __device__ static bool speaks() { return threadIdx.x % 16 == 0; }

  __device__ void weigh(const Span (&sees)[kOwn], bool masked, int key, float scale) {
    float weights[kOwn][kOwn];
    multiply_rows<kWidth, kOwn>(weights, tile<FloatAttention>(kQueryTile), tile<FloatAttention>(kKeyTile));
#pragma unroll
    for (int i = 0; i < kOwn; ++i) {
      float top = -INFINITY;
#pragma unroll
      for (int j = 0; j < kOwn; ++j) {
        weights[i][j] *= scale;
        if (masked && !sees[i].sees(key + static_cast<int>(threadIdx.x) % 16 + j * 16))
          weights[i][j] = -INFINITY;
        top = fmaxf(top, weights[i][j]);
      }
      float base = 0, sum = 0;
      const float shrink = softmax[i].raise(largest_of<16>(top), base);
#pragma unroll
      for (int j = 0; j < kOwn; ++j) {
        weights[i][j] = power_of_two(weights[i][j] - base);
        sum += weights[i][j];
      }
      softmax[i].sum += sum_of<16>(sum);
#pragma unroll
      for (int c = 0; c < kWidth / 16; ++c) sums[i][c] *= shrink;
    }
    share_weights<kOwn>(tile<FloatAttention>(kWeightTile), weights);
  }
  __device__ void add() {
    add_weighted<kWidth, kOwn>(sums, tile<FloatAttention>(kWeightTile), tile<FloatAttention>(kValueTile));
  }
  __device__ void store(int i, const Head& to, int64_t at, float factor) const {
    store_sums<kWidth>(to, at, factor, sums[i]);
  }

  RunningSoftmax softmax[kOwn];
  float sums[kOwn][kWidth / 16] = {};
};

/// Takes keys [first, last), at least one, into `attention`, whose queries were copied to their tile or are
/// on the way there. `scale` is that of the scores times log2 e.
template <class Attention>
__device__ inline void attend(Attention& attention, const Head& k, const Head& v,
                              const Span (&sees)[Attention::kOwn], int first, int last, float scale) {
  constexpr int kKeys = Attention::kKeys, kWidth = Attention::kTileWidth, kThreads = Attention::kThreads;
  const auto load = [&](int which, const Head& from, int key) {
    load_tile<kKeys, kWidth, kThreads>(tile<Attention>(which), from, RowsFrom{from.stride, key, last});
    commit_copies();
  };
  load(kKeyTile, k, first);
  for (int key = first; key < last; key += kKeys) {
    wait_copies<0>();
    __syncthreads();  // the keys are there, and nobody reads the values of before
    load(kValueTile, v, key);
    bool meets = false, covers = true;
#pragma unroll
    for (int i = 0; i < Attention::kOwn; ++i) {
      meets = meets || sees[i].meets(key, kKeys);
      covers = covers && sees[i].covers(key, kKeys);
    }
    const bool any = __any_sync(kAllLanes, meets);
    if (any) attention.weigh(sees, !__all_sync(kAllLanes, covers), key, scale);
    wait_copies<0>();
    __syncthreads();  // the values are there, and nobody reads these keys
    if (key + kKeys < last) load(kKeyTile, k, key + kKeys);
    if (any) attention.add();
  }
}

}  // namespace gristmill::runtime::cuda

#pragma once

// Causal attention in blocks with an online softmax (Dao et al. 2022; Milakov & Gimelshein 2018). Many
// queries: lanes are queries, so that maxima, sums and rescaling need no sums across lanes. Few queries
// (decoding): lanes are keys. Both do the same operations on each element in the same order (key blocks of
// kKeyBlock from the document's start), so that decoding gives the bits of training.

#include "runtime/cpu/kernels.hpp"
#include "runtime/cpu/product_kernels.hpp"
#include "runtime/cpu/simd.hpp"

namespace gristmill::runtime::cpu {
namespace {

constexpr int64_t kKeyBlock = 64, kQueryBlock = 32;
constexpr int64_t kFewQueries = kTileCols / 2;

/// Leading dimension of a transposed matrix: not a power of two, which would map all rows to the same cache
/// sets.
int64_t transposed_stride(int64_t rows) { return padded(rows, 16) + kTileCols + 16; }

/// to[cols][stride] = scale · fromᵀ, zero beyond `rows`.
void transposed_copy(float* to, int64_t stride, const float* from, int64_t from_stride, int64_t rows,
                     int64_t cols, float scale) {
  transpose(to, stride, from, from_stride, rows, cols);
  for (int64_t c = 0; c < cols; ++c) {
    float* row = to + c * stride;
    if (scale != 1.0F) {
      for (int64_t r = 0; r < rows; ++r) row[r] *= scale;
    }
    for (int64_t r = rows; r < stride; ++r) row[r] = 0;
  }
}

/// to[rows][width], zero beyond `cols`.
void padded_copy(float* to, int64_t width, const float* from, int64_t from_stride, int64_t rows,
                 int64_t cols) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < cols; ++c) to[r * width + c] = from[r * from_stride + c];
    for (int64_t c = cols; c < width; ++c) to[r * width + c] = 0;
  }
}

constexpr float kMinusInfinity = -__builtin_inff();

int64_t keys_seen(const AttentionBlock& args, int64_t query) {
  return args.first_length + query * args.length_step;
}

struct LaneState {
  Vec highest[kTileVectors], total[kTileVectors];
};

/// Masks and exponentiates one block of scores [keys][lanes] in place, and rescales what was summed before.
GRISTMILL_INLINE void softmax_lanes(const AttentionBlock& args, LaneState& state, float* scores, float* sums,
                                    int64_t first_query, int64_t first_key, int64_t keys) {
  const bool diagonal = first_key + keys > keys_seen(args, first_query);
  for (int64_t v = 0; v < kTileVectors; ++v) {
    float* column = scores + v * kLanes;
    if (diagonal) {
      for (int64_t lane = 0; lane < kLanes; ++lane) {
        const int64_t query = lesser(first_query + v * kLanes + lane, args.queries - 1);
        const int64_t visible = keys_seen(args, query) - first_key;
        for (int64_t s = visible < 0 ? 0 : visible; s < keys; ++s)
          column[s * kTileCols + lane] = kMinusInfinity;
      }
    }
    Vec highest = state.highest[v];
    for (int64_t s = 0; s < keys; ++s) highest = larger(highest, load(column + s * kTileCols));
    const Vec rescale = exponential(state.highest[v] - highest);
    Vec total = state.total[v] * rescale;
    for (int64_t s = 0; s < keys; ++s) {
      const Vec weight = exponential(load(column + s * kTileCols) - highest);
      store(column + s * kTileCols, weight);
      total += weight;
    }
    for (int64_t d = 0; d < args.head_dim; ++d) {
      store(sums + d * kTileCols + v * kLanes, load(sums + d * kTileCols + v * kLanes) * rescale);
    }
    state.highest[v] = highest;
    state.total[v] = total;
  }
}

/// Writes the block's outputs: sums / total, transposed back.
GRISTMILL_INLINE void finish_lanes(const AttentionBlock& args, const LaneState& state, float* sums,
                                   int64_t first_query, int64_t count) {
  float highest[kTileCols], total[kTileCols];
  for (int64_t v = 0; v < kTileVectors; ++v) {
    store(highest + v * kLanes, state.highest[v]);
    store(total + v * kLanes, state.total[v]);
    const Vec inverse = splat(1.0F) / state.total[v];
    for (int64_t d = 0; d < args.head_dim; ++d) {
      store(sums + d * kTileCols + v * kLanes, load(sums + d * kTileCols + v * kLanes) * inverse);
    }
  }
  transpose(args.out + first_query * args.out_stride, args.out_stride, sums, kTileCols, args.head_dim, count);
  if (args.lse == nullptr) return;
  for (int64_t i = 0; i < count; ++i) {
    args.lse[(first_query + i) * args.lse_stride] = highest[i] + __builtin_logf(total[i]);
  }
}

void attention_many(const AttentionBlock& args) {
  const int64_t dim = args.head_dim, keys = keys_seen(args, args.queries - 1),
                stride = transposed_stride(keys);
  float* keys_t = args.scratch;
  float* queries_t = keys_t + dim * stride;
  float* scores = queries_t + dim * kTileCols;
  float* sums = scores + kKeyBlock * kTileCols;
  transposed_copy(keys_t, stride, args.k, args.k_stride, keys, dim, 1.0F);
  for (int64_t query = 0; query < args.queries; query += kTileCols) {
    const int64_t count = lesser(kTileCols, args.queries - query);
    transposed_copy(queries_t, kTileCols, args.q + query * args.q_stride, args.q_stride, count, dim,
                    args.scale);
    for (int64_t i = 0; i < dim * kTileCols; ++i) sums[i] = 0;
    LaneState state;
    for (int64_t v = 0; v < kTileVectors; ++v) {
      state.highest[v] = splat(kMinusInfinity);
      state.total[v] = Vec{};
    }
    const int64_t seen = keys_seen(args, query + count - 1);
    for (int64_t key = 0; key < seen; key += kKeyBlock) {
      const int64_t block = lesser(kKeyBlock, seen - key);
      small_product(block, kTileCols, dim, keys_t + key, stride, queries_t, kTileCols, scores, kTileCols,
                    false);
      softmax_lanes(args, state, scores, sums, query, key, block);
      small_product(dim, kTileCols, block, args.v + key * args.v_stride, args.v_stride, scores, kTileCols,
                    sums, kTileCols, true);
    }
    finish_lanes(args, state, sums, query, count);
  }
}

/// One query's scores of one block, in place: weights; updates maximum and total, returns the factor for what
/// was summed before.
GRISTMILL_INLINE float softmax_keys(float* scores, int64_t visible, float& highest, float& total) {
  for (int64_t s = visible < 0 ? 0 : visible; s < kKeyBlock; ++s) scores[s] = kMinusInfinity;
  Vec most = splat(highest);
  for (int64_t s = 0; s < kKeyBlock; s += kLanes) most = larger(most, load(scores + s));
  const float now = largest_lane(most);
  const float rescale = exponential(splat(highest - now))[0];
  for (int64_t s = 0; s < kKeyBlock; s += kLanes)
    store(scores + s, exponential(load(scores + s) - splat(now)));
  total *= rescale;
  for (int64_t s = 0; s < kKeyBlock && s < visible; ++s) total += scores[s];
  highest = now;
  return rescale;
}

void attention_few(const AttentionBlock& args) {
  const int64_t dim = args.head_dim, width = padded(dim, kTileCols), queries = args.queries;
  float* queries_t = args.scratch;
  float* keys_t = queries_t + dim * kFewQueries;
  float* values = keys_t + dim * kKeyBlock;
  float* scores = values + kKeyBlock * width;
  float* weights_t = scores + kFewQueries * kKeyBlock;
  float* sums = weights_t + kFewQueries * kKeyBlock;
  float highest[kFewQueries], total[kFewQueries];
  transposed_copy(queries_t, kFewQueries, args.q, args.q_stride, queries, dim, args.scale);
  for (int64_t i = 0; i < queries * width; ++i) sums[i] = 0;
  for (int64_t i = 0; i < queries; ++i) {
    highest[i] = kMinusInfinity;
    total[i] = 0;
  }
  const int64_t seen = keys_seen(args, queries - 1);
  for (int64_t key = 0; key < seen; key += kKeyBlock) {
    const int64_t block = lesser(kKeyBlock, seen - key);
    transposed_copy(keys_t, kKeyBlock, args.k + key * args.k_stride, args.k_stride, block, dim, 1.0F);
    small_product(queries, kKeyBlock, dim, queries_t, kFewQueries, keys_t, kKeyBlock, scores, kKeyBlock,
                  false);
    for (int64_t i = 0; i < queries; ++i) {
      const float rescale =
          softmax_keys(scores + i * kKeyBlock, lesser(block, keys_seen(args, i) - key), highest[i], total[i]);
      for (int64_t d = 0; d < width; ++d) sums[i * width + d] *= rescale;
    }
    transpose(weights_t, kFewQueries, scores, kKeyBlock, queries, block);
    const float* from = args.v + key * args.v_stride;
    const bool direct = width == dim;
    if (!direct) padded_copy(values, width, from, args.v_stride, block, dim);
    small_product(queries, width, block, weights_t, kFewQueries, direct ? from : values,
                  direct ? args.v_stride : width, sums, width, true);
  }
  for (int64_t i = 0; i < queries; ++i) {
    const float inverse = 1.0F / total[i];
    for (int64_t d = 0; d < dim; ++d) args.out[i * args.out_stride + d] = sums[i * width + d] * inverse;
    if (args.lse) args.lse[i * args.lse_stride] = highest[i] + __builtin_logf(total[i]);
  }
}

int64_t attention_scratch(int64_t head_dim, int64_t keys) {
  const int64_t width = padded(head_dim, kTileCols);
  const int64_t many = head_dim * (transposed_stride(keys) + 2 * kTileCols) + kKeyBlock * kTileCols;
  const int64_t few =
      head_dim * (kFewQueries + kKeyBlock) + kKeyBlock * width + kFewQueries * (2 * kKeyBlock + width);
  return many > few ? many : few;
}

void attention(const AttentionBlock& args) {
  if (args.queries <= kFewQueries) return attention_few(args);
  attention_many(args);
}

}  // namespace
}  // namespace gristmill::runtime::cpu

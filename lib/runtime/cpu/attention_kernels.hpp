#pragma once

// Causal attention in blocks with an online softmax (Dao et al. 2022; Milakov & Gimelshein 2018). Many
// queries: lanes are queries, so that maxima, sums and rescaling need no sums across lanes. Few queries
// (decoding): lanes are keys. Both do the same operations on each element in the same order (key blocks of
// kKeyBlock from the document's start), so that decoding gives the bits of training.

#include "runtime/cpu/attention_packing.hpp"
#include "runtime/cpu/kernels.hpp"
#include "runtime/cpu/product_kernels.hpp"
#include "runtime/cpu/simd.hpp"

namespace gristmill::runtime::cpu {
namespace {

constexpr int64_t kFewQueries = kTileCols / 2;
constexpr float kMinusInfinity = -__builtin_inff();

int64_t keys_seen(const AttentionBlock& args, int64_t query) {
  return args.first_length + query * args.length_step;
}

struct LaneState {
  Vec highest[kTileVectors], total[kTileVectors];
};

/// How many of the keys from `first_key` on each of kLanes queries sees.
IntVec visible_keys(const AttentionBlock& args, int64_t first_query, int64_t first_key) {
  IntVec visible;
  for (int64_t lane = 0; lane < kLanes; ++lane) {
    const int64_t query = lesser(first_query + lane, args.queries - 1);
    visible[lane] = static_cast<int32_t>(keys_seen(args, query) - first_key);
  }
  return visible;
}

/// Scales one column of scores, masks it if `diagonal`, and returns the largest.
template <bool kDiagonal>
GRISTMILL_INLINE Vec scaled_scores(float* column, Vec scale, int64_t keys, IntVec visible, Vec highest) {
  for (int64_t s = 0; s < keys; ++s) {
    Vec score = load(column + s * kTileCols) * scale;
    if constexpr (kDiagonal) {
      const IntVec key = IntVec{} + static_cast<int32_t>(s);
      score = key < visible ? score : splat(kMinusInfinity);
    }
    store(column + s * kTileCols, score);
    highest = larger(highest, score);
  }
  return highest;
}

/// e^(score - highest) of one column, as the items of a product; returns total and their sum.
template <class Format>
GRISTMILL_INLINE Vec weights_of(float* weights, const float* column, int64_t keys, Vec highest, Vec total) {
  for (int64_t s = 0; s < keys; s += Format::kStep) {
    const Vec first = exponential(load(column + s * kTileCols) - highest);
    total += first;
    if constexpr (Format::kStep == 2) {
      Vec second{};
      if (s + 1 < keys) {
        second = exponential(load(column + (s + 1) * kTileCols) - highest);
        total += second;
      }
      store(weights + s / 2 * kTileCols, Format::pairs(Format::halves(first, second)));
    } else {
      store(weights + s * kTileCols, Format::item(first));
    }
  }
  return total;
}

/// Masks and exponentiates one block of scores [keys][lanes] to weights, and rescales what was summed before.
template <class Format>
GRISTMILL_INLINE void softmax_lanes(const AttentionBlock& args, LaneState& state, float* weights,
                                    float* scores, float* sums, int64_t first_query, int64_t first_key,
                                    int64_t keys) {
  const bool diagonal = first_key + keys > keys_seen(args, first_query);
  for (int64_t v = 0; v < kTileVectors; ++v) {
    float* column = scores + v * kLanes;
    const Vec before = state.highest[v], scale = splat(args.scale);
    const Vec highest =
        diagonal ? scaled_scores<true>(column, scale, keys,
                                       visible_keys(args, first_query + v * kLanes, first_key), before)
                 : scaled_scores<false>(column, scale, keys, IntVec{}, before);
    const Vec rescale = exponential(before - highest);
    state.total[v] =
        weights_of<Format>(weights + v * kLanes, column, keys, highest, state.total[v] * rescale);
    state.highest[v] = highest;
    for (int64_t d = 0; d < args.head_dim; ++d) {
      store(sums + d * kTileCols + v * kLanes, load(sums + d * kTileCols + v * kLanes) * rescale);
    }
  }
}

/// Writes the block's outputs: sums / total, transposed back by way of `rows`.
GRISTMILL_INLINE void finish_lanes(const AttentionBlock& args, const LaneState& state, float* rows,
                                   float* sums, int64_t first_query, int64_t count) {
  float highest[kTileCols], total[kTileCols];
  for (int64_t v = 0; v < kTileVectors; ++v) {
    store(highest + v * kLanes, state.highest[v]);
    store(total + v * kLanes, state.total[v]);
    const Vec inverse = splat(1.0F) / state.total[v];
    for (int64_t d = 0; d < args.head_dim; ++d) {
      store(sums + d * kTileCols + v * kLanes, load(sums + d * kTileCols + v * kLanes) * inverse);
    }
  }
  transpose(rows, args.head_dim, sums, kTileCols, args.head_dim, count);
  put_rows(args.out, first_query, rows, args.head_dim, count, args.head_dim);
  if (args.lse == nullptr) return;
  for (int64_t i = 0; i < count; ++i) {
    args.lse[(first_query + i) * args.lse_stride] = highest[i] + __builtin_logf(total[i]);
  }
}

/// Memory of many queries. Where an item is a float, the weights take the place of the scores.
template <class Format>
struct ManyScratch {
  ManyScratch(Cursor& cursor, int64_t dim, int64_t key_count)
      : keys_t(cursor.take(steps_of<Format>(dim) * padded(key_count, kKeyBlock))),
        values(cursor.take(steps_of<Format>(key_count) * dim)),
        queries_t(cursor.take(steps_of<Format>(dim) * kTileCols)),
        scores(cursor.take(kKeyBlock * kTileCols)),
        weights(Format::kStep == 1 ? scores : cursor.take(kKeyBlock / Format::kStep * kTileCols)),
        sums(cursor.take(dim * kTileCols)),
        rows(cursor.take(dim * kTileCols)) {}
  float *keys_t, *values, *queries_t, *scores, *weights, *sums, *rows;
};

template <class Format>
void attention_many(const AttentionBlock& args) {
  const int64_t dim = args.head_dim, keys = keys_seen(args, args.queries - 1), steps = steps_of<Format>(dim);
  Cursor cursor(args.scratch);
  const ManyScratch<Format> s(cursor, dim, keys);
  pack_blocks<Format>(s.keys_t, kKeyBlock, args.k, keys, dim);
  pack_rows<Format>(s.values, dim, args.v, keys, dim);
  for (int64_t query = 0; query < args.queries; query += kTileCols) {
    const int64_t count = lesser(kTileCols, args.queries - query);
    pack_blocks<Format>(s.queries_t, kTileCols, from_row(args.q, query), count, dim);
    for (int64_t i = 0; i < dim * kTileCols; ++i) s.sums[i] = 0;
    LaneState state;
    for (int64_t v = 0; v < kTileVectors; ++v) {
      state.highest[v] = splat(kMinusInfinity);
      state.total[v] = Vec{};
    }
    const int64_t seen = keys_seen(args, query + count - 1);
    for (int64_t key = 0; key < seen; key += kKeyBlock) {
      const int64_t block = lesser(kKeyBlock, seen - key);
      small_product<Format>(block, kTileCols, steps, s.keys_t + key * steps, kKeyBlock, s.queries_t,
                            kTileCols, s.scores, kTileCols, false);
      softmax_lanes<Format>(args, state, s.weights, s.scores, s.sums, query, key, block);
      small_product<Format>(dim, kTileCols, steps_of<Format>(block), s.values + key / Format::kStep * dim,
                            dim, s.weights, kTileCols, s.sums, kTileCols, true);
    }
    finish_lanes(args, state, s.rows, s.sums, query, count);
  }
}

/// One query's scores of one block, in place: weights; updates maximum and total, returns the factor for what
/// was summed before.
GRISTMILL_INLINE float softmax_keys(float* scores, float scale, int64_t visible, float& highest,
                                    float& total) {
  Vec most = splat(highest);
  for (int64_t s = 0; s < kKeyBlock; s += kLanes) store(scores + s, load(scores + s) * splat(scale));
  for (int64_t s = visible < 0 ? 0 : visible; s < kKeyBlock; ++s) scores[s] = kMinusInfinity;
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

template <class Format>
struct FewScratch {
  FewScratch(Cursor& cursor, int64_t dim)
      : width(padded(dim, kTileCols)),
        queries_t(cursor.take(steps_of<Format>(dim) * kFewQueries)),
        keys_t(cursor.take(steps_of<Format>(dim) * kKeyBlock)),
        values(cursor.take(kKeyBlock / Format::kStep * width)),
        scores(cursor.take(kFewQueries * kKeyBlock)),
        weights(Format::kStep == 1 ? scores : cursor.take(kFewQueries * kKeyBlock / Format::kStep)),
        weights_t(cursor.take(kFewQueries * kKeyBlock / Format::kStep)),
        sums(cursor.take(kFewQueries * width)) {}
  int64_t width;
  float *queries_t, *keys_t, *values, *scores, *weights, *weights_t, *sums;
};

/// What a block of keys adds to the sums of queries whose weights are in s.weights_t.
template <class Format>
void add_values(const AttentionBlock& args, const FewScratch<Format>& s, int64_t key, int64_t block) {
  const float* values = s.values;
  int64_t stride = s.width;
  if (is_stored_as_rows<Format>(args.v) && s.width == args.head_dim) {
    values = static_cast<const float*>(args.v.data) + key * args.v.stride;
    stride = args.v.stride;
  } else {
    pack_rows<Format>(s.values, s.width, from_row(args.v, key), block, args.head_dim);
  }
  small_product<Format>(args.queries, s.width, steps_of<Format>(block), s.weights_t, kFewQueries, values,
                        stride, s.sums, s.width, true);
}

template <class Format>
void begin_few(const AttentionBlock& args, const FewScratch<Format>& s, float* highest, float* total) {
  pack_blocks<Format>(s.queries_t, kFewQueries, args.q, args.queries, args.head_dim);
  for (int64_t i = 0; i < args.queries * s.width; ++i) s.sums[i] = 0;
  for (int64_t i = 0; i < args.queries; ++i) {
    highest[i] = kMinusInfinity;
    total[i] = 0;
  }
}

/// Keys [key, key + block): scores, weights, and what they add to the sums.
template <class Format>
void few_block(const AttentionBlock& args, const FewScratch<Format>& s, float* highest, float* total,
               int64_t key, int64_t block) {
  const int64_t dim = args.head_dim, queries = args.queries;
  pack_blocks<Format>(s.keys_t, kKeyBlock, from_row(args.k, key), block, dim);
  small_product<Format>(queries, kKeyBlock, steps_of<Format>(dim), s.queries_t, kFewQueries, s.keys_t,
                        kKeyBlock, s.scores, kKeyBlock, false);
  for (int64_t i = 0; i < queries; ++i) {
    float* scores = s.scores + i * kKeyBlock;
    const int64_t visible = lesser(block, keys_seen(args, i) - key);
    const float rescale = softmax_keys(scores, args.scale, visible, highest[i], total[i]);
    for (int64_t d = 0; d < s.width; ++d) s.sums[i * s.width + d] *= rescale;
    items_of<Format>(s.weights + i * kKeyBlock / Format::kStep, scores, kKeyBlock);
  }
  transpose(s.weights_t, kFewQueries, s.weights, kKeyBlock / Format::kStep, queries, steps_of<Format>(block));
  add_values<Format>(args, s, key, block);
}

/// Writes the queries' results to rows of out from `row` on.
template <class Format>
void finish_few(const AttentionBlock& args, const FewScratch<Format>& s, const float* highest,
                const float* total, int64_t row) {
  for (int64_t i = 0; i < args.queries; ++i) {
    const float inverse = 1.0F / total[i];
    for (int64_t d = 0; d < args.head_dim; ++d) s.sums[i * s.width + d] *= inverse;
    if (args.lse) args.lse[i * args.lse_stride] = highest[i] + __builtin_logf(total[i]);
  }
  put_rows(args.out, row, s.sums, s.width, args.queries, args.head_dim);
}

template <class Format>
void attention_few(const AttentionBlock& args) {
  Cursor cursor(args.scratch);
  const FewScratch<Format> s(cursor, args.head_dim);
  float highest[kFewQueries], total[kFewQueries];
  begin_few(args, s, highest, total);
  const int64_t seen = keys_seen(args, args.queries - 1);
  for (int64_t key = 0; key < seen; key += kKeyBlock) {
    const int64_t block = lesser(kKeyBlock, seen - key), next = key + block;
    prefetch_rows(args.k, next, lesser(kKeyBlock, seen - next), args.head_dim);
    prefetch_rows(args.v, next, lesser(kKeyBlock, seen - next), args.head_dim);
    few_block(args, s, highest, total, key, block);
  }
  finish_few(args, s, highest, total, 0);
}

template <class Format>
int64_t attention_scratch(int64_t head_dim, int64_t keys) {
  Cursor many(nullptr), few(nullptr);
  ManyScratch<Format>(many, head_dim, keys);
  FewScratch<Format>(few, head_dim);
  return many.taken() > few.taken() ? many.taken() : few.taken();
}

template <class Format>
void attention_forward(const AttentionBlock& args) {
  if (args.queries <= kFewQueries) return attention_few<Format>(args);
  attention_many<Format>(args);
}

}  // namespace
}  // namespace gristmill::runtime::cpu

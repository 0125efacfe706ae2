#pragma once

// Backward of attention: P is recomputed from the logsumexp, block by block, lanes are keys. With D = Σ
// dout·out: dv += Pᵀ·dout, dS = P∘(dout·vᵀ - D)·scale, dk += dSᵀ·q, dq += dS·k.

#include "runtime/cpu/attention_packing.hpp"
#include "runtime/cpu/kernels.hpp"
#include "runtime/cpu/product_kernels.hpp"
#include "runtime/cpu/simd.hpp"

namespace gristmill::runtime::cpu {
namespace {

constexpr int64_t kQueryBlock = 32;

/// Memory of one key head's document. "_t" is packed with the depth along head_dim, keys in blocks of
/// kKeyBlock and queries of kQueryBlock, the others with the depth along the rows. Of one block: scores and
/// their gradients [queries][keys], and both as items with the depth along the queries; gradient_rows has it
/// along the keys, gradients_t is its transpose. Where an item is a float the last three share memory.
template <class Format>
struct GradientScratch {
  GradientScratch(Cursor& cursor, int64_t dim, int64_t rows)
      : width(padded(dim, kTileCols)),
        keys_t(cursor.take(steps_of<Format>(dim) * padded(rows, kKeyBlock))),
        values_t(cursor.take(steps_of<Format>(dim) * padded(rows, kKeyBlock))),
        queries_t(cursor.take(steps_of<Format>(dim) * padded(rows, kQueryBlock))),
        douts_t(cursor.take(steps_of<Format>(dim) * padded(rows, kQueryBlock))),
        keys(cursor.take(steps_of<Format>(rows) * width)),
        queries(cursor.take(steps_of<Format>(rows) * width)),
        douts(cursor.take(steps_of<Format>(rows) * width)),
        dq(cursor.take(rows * width)),
        dk(cursor.take(rows * width)),
        dv(cursor.take(rows * width)),
        lse(cursor.take(rows)),
        delta(cursor.take(rows)),
        out_row(cursor.take(dim)),
        dout_row(cursor.take(dim)),
        scores(cursor.take(kQueryBlock * kKeyBlock)),
        slopes(cursor.take(kQueryBlock * kKeyBlock)),
        weights(items(cursor, scores)),
        gradients(items(cursor, slopes)),
        gradient_rows(items(cursor, slopes)),
        gradients_t(cursor.take(kQueryBlock * kKeyBlock / Format::kStep)) {}
  static float* items(Cursor& cursor, float* floats) {
    return Format::kStep == 1 ? floats : cursor.take(kQueryBlock * kKeyBlock / Format::kStep);
  }
  int64_t width;
  float *keys_t, *values_t, *queries_t, *douts_t;
  float *keys, *queries, *douts, *dq, *dk, *dv;
  float *lse, *delta, *out_row, *dout_row;
  float *scores, *slopes, *weights, *gradients, *gradient_rows, *gradients_t;
};

struct ScoreGradient {
  Vec p, ds;
};

/// P and dS of a vector of keys from q·k and dout·v.
GRISTMILL_INLINE ScoreGradient score_gradient(Vec score, Vec slope, Vec lse, Vec delta, Vec scale) {
  const Vec p = exponential(score * scale - lse);
  return {p, p * (slope - delta) * scale};
}

/// P and dS of one block as operands of the products that follow; keys that a query does not see have none.
template <class Format>
GRISTMILL_INLINE void block_gradients(const GradientScratch<Format>& s, float scale, int64_t query,
                                      int64_t queries, int64_t key) {
  IntVec lane;
  for (int64_t i = 0; i < kLanes; ++i) lane[i] = static_cast<int32_t>(i);
  const bool diagonal = key + kKeyBlock > query + 1;
  const auto one = [&](int64_t i, int64_t c) {
    ScoreGradient g = score_gradient(load(s.scores + i * kKeyBlock + c), load(s.slopes + i * kKeyBlock + c),
                                     splat(s.lse[query + i]), splat(s.delta[query + i]), splat(scale));
    if (diagonal) {
      const IntVec seen = lane + static_cast<int32_t>(c) < static_cast<int32_t>(query + i + 1 - key);
      g.p = seen ? g.p : Vec{};
      g.ds = seen ? g.ds : Vec{};
    }
    return g;
  };
  for (int64_t i = 0; i < queries; i += Format::kStep) {
    for (int64_t c = 0; c < kKeyBlock; c += kLanes) {
      const ScoreGradient first = one(i, c);
      const int64_t place = i / Format::kStep * kKeyBlock + c;
      if constexpr (Format::kStep == 2) {
        ScoreGradient second{};
        if (i + 1 < queries) second = one(i + 1, c);
        const auto halves = Format::halves(first.ds, second.ds);
        store(s.weights + place, Format::pairs(Format::halves(first.p, second.p)));
        store(s.gradients + place, Format::pairs(halves));
        Format::put_halves(s.gradient_rows + (i * kKeyBlock + c) / 2,
                           s.gradient_rows + ((i + 1) * kKeyBlock + c) / 2, halves);
      } else {
        store(s.weights + place, Format::item(first.p));
        store(s.gradients + place, Format::item(first.ds));
      }
    }
  }
}

/// One head's gradients over the whole document.
template <class Format>
void head_gradients(const GradientScratch<Format>& s, float scale, int64_t dim, int64_t length) {
  constexpr int64_t kStep = Format::kStep;
  const int64_t steps = steps_of<Format>(dim);
  for (int64_t key = 0; key < length; key += kKeyBlock) {
    for (int64_t query = key; query < length; query += kQueryBlock) {
      const int64_t queries = lesser(kQueryBlock, length - query);
      const int64_t keys = lesser(kKeyBlock, query + queries - key);  // what the last query sees
      const int64_t query_steps = steps_of<Format>(queries), key_steps = steps_of<Format>(keys);
      const int64_t query_row = query / kStep * s.width;
      small_product<Format>(queries, padded(keys, kTileCols), steps, s.queries_t + query * steps, kQueryBlock,
                            s.keys_t + key * steps, kKeyBlock, s.scores, kKeyBlock, false);
      small_product<Format>(queries, padded(keys, kTileCols), steps, s.douts_t + query * steps, kQueryBlock,
                            s.values_t + key * steps, kKeyBlock, s.slopes, kKeyBlock, false);
      block_gradients<Format>(s, scale, query, queries, key);
      small_product<Format>(keys, s.width, query_steps, s.weights, kKeyBlock, s.douts + query_row, s.width,
                            s.dv + key * s.width, s.width, true);
      small_product<Format>(keys, s.width, query_steps, s.gradients, kKeyBlock, s.queries + query_row,
                            s.width, s.dk + key * s.width, s.width, true);
      transpose(s.gradients_t, kQueryBlock, s.gradient_rows, kKeyBlock / kStep, queries, key_steps);
      small_product<Format>(queries, s.width, key_steps, s.gradients_t, kQueryBlock,
                            s.keys + key / kStep * s.width, s.width, s.dq + query * s.width, s.width, true);
    }
  }
}

/// Gathers what one head needs: q and dout both ways, lse and D.
template <class Format>
void gather_head(const AttentionGradientBlock& args, const GradientScratch<Format>& s, int64_t head) {
  const int64_t dim = args.head_dim, rows = args.rows;
  const Operand q = from_column(args.q, head * dim), dout = from_column(args.dout, head * dim),
                out = from_column(args.out, head * dim);
  pack_blocks<Format>(s.queries_t, kQueryBlock, q, rows, dim);
  pack_blocks<Format>(s.douts_t, kQueryBlock, dout, rows, dim);
  pack_rows<Format>(s.queries, s.width, q, rows, dim);
  pack_rows<Format>(s.douts, s.width, dout, rows, dim);
  for (int64_t t = 0; t < rows; ++t) {
    const float* result = floats_of(s.out_row, out, t, dim);
    const float* upstream = floats_of(s.dout_row, dout, t, dim);
    Vec sum{};
    each_vector(dim, [&](int64_t i, auto get, auto) { sum = fma(get(result + i), get(upstream + i), sum); });
    s.delta[t] = sum_lanes(sum);
    s.lse[t] = args.lse[t * args.lse_stride + head];
  }
  for (int64_t i = 0; i < rows * s.width; ++i) s.dq[i] = 0;
}

template <class Format>
void attention_backward(const AttentionGradientBlock& args) {
  const int64_t rows = args.rows, dim = args.head_dim;
  Cursor cursor(args.scratch);
  const GradientScratch<Format> s(cursor, dim, rows);
  pack_blocks<Format>(s.keys_t, kKeyBlock, args.k, rows, dim);
  pack_blocks<Format>(s.values_t, kKeyBlock, args.v, rows, dim);
  pack_rows<Format>(s.keys, s.width, args.k, rows, dim);
  for (int64_t i = 0; i < rows * s.width; ++i) s.dk[i] = s.dv[i] = 0;
  for (int64_t i = 0; i < kQueryBlock * kKeyBlock; ++i) s.scores[i] = s.slopes[i] = 0;
  for (int64_t head = 0; head < args.heads; ++head) {
    gather_head<Format>(args, s, head);
    head_gradients<Format>(s, args.scale, dim, rows);
    Result dq = args.dq;
    dq.data = static_cast<char*>(dq.data) + head * dim * (dq.narrow ? 2 : 4);
    put_rows(dq, 0, s.dq, s.width, rows, dim);
  }
  put_rows(args.dk, 0, s.dk, s.width, rows, dim);
  put_rows(args.dv, 0, s.dv, s.width, rows, dim);
}

template <class Format>
int64_t attention_backward_scratch(int64_t head_dim, int64_t rows) {
  Cursor cursor(nullptr);
  GradientScratch<Format>(cursor, head_dim, rows);
  return cursor.taken();
}

}  // namespace
}  // namespace gristmill::runtime::cpu

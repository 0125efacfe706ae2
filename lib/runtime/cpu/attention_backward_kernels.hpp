#pragma once

// Backward of attention: P is recomputed from the logsumexp, block by block, lanes are keys. With D = Σ
// dout·out: dv += Pᵀ·dout, dS = P∘(dout·vᵀ - D)·scale, dk += dSᵀ·q, dq += dS·k.

#include "runtime/cpu/attention_kernels.hpp"

namespace gristmill::runtime::cpu {
namespace {

/// Where the pieces lie in the scratch; "_t" is transposed with `stride`, others are rows of `width`.
struct GradientScratch {
  int64_t stride, width;
  float *keys_t, *values_t, *queries_t, *douts_t;
  float *keys, *queries, *douts, *dq, *dk, *dv;
  float *lse, *delta;
  float *weights, *gradients, *gradients_t;  ///< one block
};

int64_t attention_backward_scratch(int64_t head_dim, int64_t keys) {
  const int64_t width = padded(head_dim, kTileCols);
  return 4 * head_dim * transposed_stride(keys) + 6 * keys * width + 2 * padded(keys, 16) +
         3 * kQueryBlock * kKeyBlock;
}

GradientScratch divide(float* scratch, int64_t dim, int64_t keys) {
  GradientScratch s{};
  s.stride = transposed_stride(keys);
  s.width = padded(dim, kTileCols);
  float* next = scratch;
  float** const by_column[] = {&s.keys_t, &s.values_t, &s.queries_t, &s.douts_t};
  for (float** piece : by_column) {
    *piece = next;
    next += dim * s.stride;
  }
  float** const by_row[] = {&s.keys, &s.queries, &s.douts, &s.dq, &s.dk, &s.dv};
  for (float** piece : by_row) {
    *piece = next;
    next += keys * s.width;
  }
  s.lse = next;
  s.delta = next + padded(keys, 16);
  s.weights = s.delta + padded(keys, 16);
  s.gradients = s.weights + kQueryBlock * kKeyBlock;
  s.gradients_t = s.gradients + kQueryBlock * kKeyBlock;
  return s;
}

/// P and dS of one block from S (in weights) and dout·vᵀ (in gradients), both in place.
GRISTMILL_INLINE void block_gradients(const GradientScratch& s, float scale, int64_t query, int64_t queries,
                                      int64_t key) {
  IntVec lane;
  for (int64_t i = 0; i < kLanes; ++i) lane[i] = static_cast<int32_t>(i);
  const bool diagonal = key + kKeyBlock > query + 1;
  for (int64_t i = 0; i < queries; ++i) {
    const Vec lse = splat(s.lse[query + i]), delta = splat(s.delta[query + i]);
    const int32_t visible = static_cast<int32_t>(query + i + 1 - key);
    for (int64_t c = 0; c < kKeyBlock; c += kLanes) {
      float* weights = s.weights + i * kKeyBlock + c;
      float* gradients = s.gradients + i * kKeyBlock + c;
      Vec p = exponential(load(weights) - lse);
      Vec ds = p * (load(gradients) - delta) * splat(scale);
      if (diagonal) {
        const IntVec seen = lane + static_cast<int32_t>(c) < visible;
        p = seen ? p : Vec{};
        ds = seen ? ds : Vec{};
      }
      store(weights, p);
      store(gradients, ds);
    }
  }
}

/// One head's gradients over the whole document.
void head_gradients(const AttentionGradientBlock& args, const GradientScratch& s, int64_t length) {
  const int64_t dim = args.forward.head_dim;
  for (int64_t key = 0; key < length; key += kKeyBlock) {
    for (int64_t query = key; query < length; query += kQueryBlock) {
      const int64_t queries = lesser(kQueryBlock, length - query);
      const int64_t keys = lesser(kKeyBlock, query + queries - key);  // what the last query sees
      small_product(queries, padded(keys, kTileCols), dim, s.queries_t + query, s.stride, s.keys_t + key,
                    s.stride, s.weights, kKeyBlock, false);
      small_product(queries, padded(keys, kTileCols), dim, s.douts_t + query, s.stride, s.values_t + key,
                    s.stride, s.gradients, kKeyBlock, false);
      block_gradients(s, args.forward.scale, query, queries, key);
      small_product(keys, s.width, queries, s.weights, kKeyBlock, s.douts + query * s.width, s.width,
                    s.dv + key * s.width, s.width, true);
      small_product(keys, s.width, queries, s.gradients, kKeyBlock, s.queries + query * s.width, s.width,
                    s.dk + key * s.width, s.width, true);
      transpose(s.gradients_t, kQueryBlock, s.gradients, kKeyBlock, queries, keys);
      small_product(queries, s.width, keys, s.gradients_t, kQueryBlock, s.keys + key * s.width, s.width,
                    s.dq + query * s.width, s.width, true);
    }
  }
}

/// Gathers what one head needs: q and dout both ways, lse and D.
void gather_head(const AttentionGradientBlock& args, const GradientScratch& s, int64_t head, int64_t length) {
  const AttentionBlock& f = args.forward;
  const int64_t dim = f.head_dim, column = head * dim;
  transposed_copy(s.queries_t, s.stride, f.q + column, f.q_stride, length, dim, f.scale);
  transposed_copy(s.douts_t, s.stride, args.dout + column, args.dout_stride, length, dim, 1.0F);
  padded_copy(s.queries, s.width, f.q + column, f.q_stride, length, dim);
  padded_copy(s.douts, s.width, args.dout + column, args.dout_stride, length, dim);
  for (int64_t t = 0; t < length; ++t) {
    const float* out = f.out + t * f.out_stride + column;
    const float* dout = args.dout + t * args.dout_stride + column;
    Vec sum{};
    each_vector(dim, [&](int64_t i, auto get, auto) { sum = fma(get(out + i), get(dout + i), sum); });
    s.delta[t] = sum_lanes(sum);
    s.lse[t] = f.lse[t * f.lse_stride + head];
  }
  for (int64_t i = 0; i < length * s.width; ++i) s.dq[i] = 0;
}

void copy_rows(float* to, int64_t to_stride, const float* from, int64_t from_stride, int64_t rows,
               int64_t cols) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < cols; ++c) to[r * to_stride + c] = from[r * from_stride + c];
  }
}

void attention_backward(const AttentionGradientBlock& args) {
  const AttentionBlock& f = args.forward;
  const int64_t length = f.queries, dim = f.head_dim;
  const GradientScratch s = divide(f.scratch, dim, length);
  transposed_copy(s.keys_t, s.stride, f.k, f.k_stride, length, dim, 1.0F);
  transposed_copy(s.values_t, s.stride, f.v, f.v_stride, length, dim, 1.0F);
  padded_copy(s.keys, s.width, f.k, f.k_stride, length, dim);
  for (int64_t i = 0; i < length * s.width; ++i) s.dk[i] = s.dv[i] = 0;
  for (int64_t i = 0; i < kQueryBlock * kKeyBlock; ++i) s.weights[i] = s.gradients[i] = 0;
  for (int64_t head = 0; head < args.heads; ++head) {
    gather_head(args, s, head, length);
    head_gradients(args, s, length);
    copy_rows(args.dq + head * dim, args.dq_stride, s.dq, s.width, length, dim);
  }
  copy_rows(args.dk, args.dk_stride, s.dk, s.width, length, dim);
  copy_rows(args.dv, args.dv_stride, s.dv, s.width, length, dim);
}

}  // namespace
}  // namespace gristmill::runtime::cpu

#pragma once

// Reference attention: softmax(scale·q·kᵀ)·v row by row, each row over the keys it may see.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "runtime/backend.hpp"
#include "runtime/checks.hpp"
#include "runtime/matrix.hpp"

namespace gristmill::runtime::reference {

template <class Real>
Real dot(const Real* a, const Real* b, int64_t size) {
  Real sum = 0;
  for (int64_t i = 0; i < size; ++i) sum += a[i] * b[i];
  return sum;
}

/// One query head over `count` keys from row `first`: writes the output, returns the logsumexp of the scores.
template <class Real>
Real attend(Real* out, const Real* query, Matrix<const Real> k, Matrix<const Real> v, int64_t column,
            int64_t first, int64_t count, const AttentionShape& shape) {
  std::vector<Real> weights(static_cast<size_t>(count));
  Real highest = -std::numeric_limits<Real>::infinity();
  for (int64_t s = 0; s < count; ++s) {
    const Real score = dot(query, k.row(first + s) + column, shape.head_dim) * static_cast<Real>(shape.scale);
    weights[static_cast<size_t>(s)] = score;
    highest = std::max(highest, score);
  }
  Real total = 0;
  for (Real& weight : weights) total += weight = std::exp(weight - highest);
  std::fill_n(out, shape.head_dim, Real(0));
  for (int64_t s = 0; s < count; ++s) {
    const Real weight = weights[static_cast<size_t>(s)] / total;
    for (int64_t d = 0; d < shape.head_dim; ++d) out[d] += weight * v.at(first + s, column + d);
  }
  return highest + std::log(total);
}

/// Documents as [start, end) pairs; the starts must rise from 0 to `rows`.
template <class Visit>
void each_document(Matrix<const int32_t> starts, int64_t rows, Visit visit) {
  for (int64_t d = 0; d + 1 < starts.rows; ++d) {
    checks::index("attention: document_starts", starts.at(d, 0), starts.at(d + 1, 0) + int64_t{1});
    checks::index("attention: document_starts", starts.at(d + 1, 0), rows + 1);
    visit(int64_t{starts.at(d, 0)}, int64_t{starts.at(d + 1, 0)});
  }
}

template <class Real>
void attention(Matrix<Real> out, Matrix<Real> lse, Matrix<const Real> q, Matrix<const Real> k,
               Matrix<const Real> v, Matrix<const int32_t> starts, const AttentionShape& shape) {
  const int64_t group = shape.heads / shape.kv_heads;
  each_document(starts, q.rows, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      for (int64_t h = 0; h < shape.heads; ++h) {
        const int64_t column = h * shape.head_dim;
        lse.at(t, h) = attend(out.row(t) + column, q.row(t) + column, k, v, h / group * shape.head_dim, begin,
                              t - begin + 1, shape);
      }
    }
  });
}

/// P = exp(scale·q·k - lse), D = Σ dout·out; dv += P·dout, dS = P·(dout·v - D)·scale, dq += dS·k, dk += dS·q.
template <class Real>
void attention_backward(Matrix<Real> dq, Matrix<Real> dk, Matrix<Real> dv, Matrix<const Real> dout,
                        Matrix<const Real> q, Matrix<const Real> k, Matrix<const Real> v,
                        Matrix<const Real> out, Matrix<const Real> lse, Matrix<const int32_t> starts,
                        const AttentionShape& shape) {
  const int64_t group = shape.heads / shape.kv_heads, size = shape.head_dim;
  const Real scale = static_cast<Real>(shape.scale);
  for (Matrix<Real> each : {dq, dk, dv}) {
    for (int64_t r = 0; r < each.rows; ++r) std::fill_n(each.row(r), each.cols, Real(0));
  }
  each_document(starts, q.rows, [&](int64_t begin, int64_t end) {
    for (int64_t h = 0; h < shape.heads; ++h) {
      const int64_t column = h * size, kv_column = h / group * size;
      for (int64_t t = begin; t < end; ++t) {
        const Real* gradient = dout.row(t) + column;
        const Real delta = dot(gradient, out.row(t) + column, size);
        for (int64_t s = begin; s <= t; ++s) {
          const Real* key = k.row(s) + kv_column;
          const Real p = std::exp(dot(q.row(t) + column, key, size) * scale - lse.at(t, h));
          const Real ds = p * (dot(gradient, v.row(s) + kv_column, size) - delta) * scale;
          for (int64_t d = 0; d < size; ++d) {
            dv.at(s, kv_column + d) += p * gradient[d];
            dq.at(t, column + d) += ds * key[d];
            dk.at(s, kv_column + d) += ds * q.at(t, column + d);
          }
        }
      }
    }
  });
}

template <class Real>
void cached_attention(Matrix<Real> out, Matrix<const Real> q, Matrix<const Real> cache_k,
                      Matrix<const Real> cache_v, Matrix<const int32_t> sequence,
                      Matrix<const int32_t> length, int64_t capacity, const AttentionShape& shape) {
  const int64_t group = shape.heads / shape.kv_heads;
  for (int64_t r = 0; r < q.rows; ++r) {
    checks::index("cached_attention: sequence", sequence.at(r, 0), cache_k.rows / capacity);
    checks::index("cached_attention: length", length.at(r, 0) - int64_t{1}, capacity);
    for (int64_t h = 0; h < shape.heads; ++h) {
      const int64_t column = h * shape.head_dim;
      attend(out.row(r) + column, q.row(r) + column, cache_k, cache_v, h / group * shape.head_dim,
             sequence.at(r, 0) * capacity, length.at(r, 0), shape);
    }
  }
}

}  // namespace gristmill::runtime::reference

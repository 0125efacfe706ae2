#pragma once

// Reference of the mixture of experts: the definition, in plain loops. What works on one token, and the
// stable order of rows, serve the CPU's backend too.
//
//   p = softmax(logits), chosen = the K largest, w_k = p_k / Σ_chosen p        (Jiang et al. 2024, §2.1)
//   dlogit_e = [e chosen] w_e·(g_e - Σ_k w_k·g_k) + p_e·(b_e - Σ p·b) + 2·z·lse·p_e
//
// with g the gradient of the weights and b = balance · load: w is the softmax over the chosen logits alone.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "runtime/backend.hpp"
#include "runtime/checks.hpp"
#include "runtime/matrix.hpp"
#include "runtime/reference/elementary.hpp"

namespace gristmill::runtime::reference {

/// The indices of the `chosen` largest of `size` logits; whatever they hold, the indices are distinct.
template <class Real>
void choose_experts(int32_t* experts, const Real* logits, int64_t size, int64_t chosen) {
  for (int64_t k = 0; k < chosen; ++k) {
    int64_t best = -1;
    for (int64_t e = 0; e < size; ++e) {
      if (std::find(experts, experts + k, static_cast<int32_t>(e)) != experts + k) continue;
      if (best < 0 || logits[e] > logits[best]) best = e;
    }
    experts[k] = static_cast<int32_t>(best);
  }
}

/// One token of route(): all but the order of rows.
template <class Real>
void route_row(Real* probabilities, Real* lse, int32_t* experts, Real* weights, const Real* logits,
               int64_t size, int64_t chosen) {
  choose_experts(experts, logits, size, chosen);
  const auto highest = static_cast<double>(logits[experts[0]]);
  double total = 0, sum = 0;
  for (int64_t e = 0; e < size; ++e) total += std::exp(static_cast<double>(logits[e]) - highest);
  *lse = static_cast<Real>(highest + std::log(total));
  for (int64_t k = 0; k < chosen; ++k) sum += std::exp(static_cast<double>(logits[experts[k]]) - highest);
  for (int64_t k = 0; k < chosen; ++k)
    weights[k] = static_cast<Real>(std::exp(static_cast<double>(logits[experts[k]]) - highest) / sum);
  for (int64_t e = 0; e < size; ++e)
    probabilities[e] = static_cast<Real>(std::exp(static_cast<double>(logits[e]) - highest) / total);
}

/// Offsets, tokens and places from the tokens' experts.
inline void order_by_expert(Matrix<int32_t> offsets, Matrix<int32_t> tokens, Matrix<int32_t> places,
                            Matrix<const int32_t> experts) {
  const int64_t size = offsets.rows - 1;
  std::vector<int32_t> next(static_cast<size_t>(size + 1));
  for (int64_t t = 0; t < experts.rows; ++t) {
    for (int64_t k = 0; k < experts.cols; ++k) ++next[static_cast<size_t>(experts.at(t, k)) + 1];
  }
  for (int64_t e = 0; e < size; ++e) next[static_cast<size_t>(e) + 1] += next[static_cast<size_t>(e)];
  for (int64_t e = 0; e <= size; ++e) offsets.at(e, 0) = next[static_cast<size_t>(e)];
  for (int64_t t = 0; t < experts.rows; ++t) {
    for (int64_t k = 0; k < experts.cols; ++k) {
      const int32_t place = next[static_cast<size_t>(experts.at(t, k))]++;
      places.at(t, k) = place;
      tokens.at(place, 0) = static_cast<int32_t>(t);
    }
  }
}

template <class Real>
void sum_routing(const Routing& out) {
  const Matrix<int32_t> offsets(out.offsets);
  const Matrix<Real> probabilities(out.probabilities), load(out.load), mass(out.mass);
  for (int64_t e = 0; e < load.cols; ++e)
    load.at(0, e) = static_cast<Real>(offsets.at(e + 1, 0) - offsets.at(e, 0));
  for (int64_t e = 0; e < mass.cols; ++e) {
    double sum = 0;
    for (int64_t t = 0; t < probabilities.rows; ++t) sum += static_cast<double>(probabilities.at(t, e));
    mass.at(0, e) = static_cast<Real>(sum);
  }
}

template <class Real>
void route(const Routing& out, Matrix<const Real> logits) {
  const Matrix<Real> probabilities(out.probabilities), lse(out.lse), weights(out.weights);
  const Matrix<int32_t> experts(out.experts);
  for (int64_t t = 0; t < logits.rows; ++t) {
    route_row<Real>(probabilities.row(t), lse.row(t), experts.row(t), weights.row(t), logits.row(t),
                    logits.cols, experts.cols);
  }
  order_by_expert(out.offsets, out.tokens, out.places, ConstView(out.experts));
  sum_routing<Real>(out);
}

/// One token of route_backward(); `load` is null without a balance.
template <class Real>
void route_row_backward(Real* dlogits, const Real* dweights, const Real* probabilities, Real lse,
                        const int32_t* experts, const Real* weights, const Real* load, int64_t size,
                        int64_t chosen, const RouterGradients& gradients) {
  const auto wide = [](Real value) { return static_cast<double>(value); };
  double mean = 0, pull = 0;
  for (int64_t k = 0; k < chosen; ++k) mean += wide(weights[k]) * wide(dweights[k]);
  for (int64_t e = 0; load != nullptr && e < size; ++e) pull += wide(probabilities[e]) * wide(load[e]);
  for (int64_t e = 0; e < size; ++e) {
    const double balance = load == nullptr ? 0 : gradients.balance * (wide(load[e]) - pull);
    double value = wide(probabilities[e]) * (balance + 2 * gradients.z * wide(lse));
    for (int64_t k = 0; k < chosen; ++k) {
      if (experts[k] == e) value += wide(weights[k]) * (wide(dweights[k]) - mean);
    }
    dlogits[e] = static_cast<Real>(value);
  }
}

template <class Real>
void route_backward(Matrix<Real> dlogits, Matrix<const Real> dweights, const Routing& routing,
                    const RouterGradients& gradients) {
  const Matrix<Real> probabilities(routing.probabilities), lse(routing.lse), weights(routing.weights);
  const Matrix<int32_t> experts(routing.experts);
  const Matrix<const Real> load(gradients.load);
  for (int64_t t = 0; t < dlogits.rows; ++t) {
    route_row_backward<Real>(dlogits.row(t), dweights.row(t), probabilities.row(t), lse.at(t, 0),
                             experts.row(t), weights.row(t), load.data, dlogits.cols, dweights.cols,
                             gradients);
  }
}

/// Calls body(expert, first row, rows) for each expert that has rows.
template <class Body>
void each_expert(const char* method, Matrix<const int32_t> offsets, int64_t rows, const Body& body) {
  for (int64_t e = 0; e + 1 < offsets.rows; ++e) {
    const int64_t begin = offsets.at(e, 0), end = offsets.at(e + 1, 0);
    checks::segment(method, begin, end, rows, e == 0, e + 2 == offsets.rows);
    if (begin < end) body(e, begin, end - begin);
  }
}

/// The weight of expert `e`, from that of expert 0.
template <class AnyView>
AnyView weight_of(const AnyView& first, int64_t expert_stride, int64_t e) {
  AnyView view = first.col_range(e * expert_stride, first.cols);
  return view;
}

/// The product of one expert's rows.
inline Matmul expert_product(const GroupedMatmul& args, int64_t e, int64_t first, int64_t rows) {
  Matmul product;
  product.out = args.out.row_range(first, rows);
  product.a = args.a.row_range(first, rows);
  product.b = weight_of(args.b, args.expert_stride, e);
  product.transpose_b = args.transpose_b;
  product.accumulate = args.accumulate;
  return product;
}

/// The gradient of one expert's weight.
inline Matmul expert_gradient(View dweight, int64_t expert_stride, ConstView dout, ConstView a, int64_t e,
                              int64_t first, int64_t rows) {
  Matmul product;
  product.out = weight_of(dweight, expert_stride, e);
  product.a = dout.row_range(first, rows);
  product.transpose_a = true;
  product.b = a.row_range(first, rows);
  product.accumulate = true;
  return product;
}

template <class Real>
void grouped_matmul(const GroupedMatmul& args) {
  each_expert("grouped_matmul", args.offsets, args.a.rows, [&](int64_t e, int64_t first, int64_t rows) {
    matmul<Real>(expert_product(args, e, first, rows));
  });
}

template <class Real>
void grouped_matmul_gradient(View dweight, int64_t expert_stride, ConstView dout, ConstView a,
                             ConstView offsets) {
  each_expert("grouped_matmul_gradient", offsets, a.rows, [&](int64_t e, int64_t first, int64_t rows) {
    matmul<Real>(expert_gradient(dweight, expert_stride, dout, a, e, first, rows));
  });
}

template <class Real>
void combine_rows(Matrix<Real> out, Matrix<const Real> in, Matrix<const Real> weights,
                  Matrix<const int32_t> places, Matrix<const Real> residual) {
  for (int64_t t = 0; t < out.rows; ++t) {
    for (int64_t k = 0; k < places.cols; ++k) checks::index("combine_rows", places.at(t, k), in.rows);
    for (int64_t c = 0; c < out.cols; ++c) {
      Real sum = 0;
      for (int64_t k = 0; k < places.cols; ++k)
        sum += (weights ? weights.at(t, k) : Real{1}) * in.at(places.at(t, k), c);
      out.at(t, c) = residual ? sum + residual.at(t, c) : sum;
    }
  }
}

template <class Real>
void combine_rows_backward(Matrix<Real> din, Matrix<Real> dweights, Matrix<const Real> dout,
                           Matrix<const Real> in, Matrix<const Real> weights, Matrix<const int32_t> places) {
  for (int64_t t = 0; t < dout.rows; ++t) {
    for (int64_t k = 0; k < places.cols; ++k) {
      const int64_t place = places.at(t, k);
      checks::index("combine_rows_backward", place, in.rows);
      Real sum = 0;
      for (int64_t c = 0; c < dout.cols; ++c) {
        sum += dout.at(t, c) * in.at(place, c);
        din.at(place, c) = weights.at(t, k) * dout.at(t, c);
      }
      dweights.at(t, k) = sum;
    }
  }
}

}  // namespace gristmill::runtime::reference

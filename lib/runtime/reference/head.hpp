#pragma once

// Reference of the language-model head. With z the scaled logits, p their softmax and μ = Σ p·z:
// log_prob = z_target - lse, entropy = lse - μ, and for upstream gradients g:
// dz_j = g_log_prob·(1{j = target} - p_j) + g_lse·p_j - g_entropy·p_j·(z_j - μ).

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "runtime/backend.hpp"
#include "runtime/checks.hpp"
#include "runtime/matrix.hpp"
#include "runtime/reference/attention.hpp"

namespace gristmill::runtime::reference {

template <class Real>
struct HeadRow {
  std::vector<Real> logits;
  Real lse = 0, mean = 0;
};

template <class Real>
HeadRow<Real> head_row(const Real* hidden, Matrix<const Real> weight, Real scale) {
  HeadRow<Real> row;
  row.logits.resize(static_cast<size_t>(weight.rows));
  for (int64_t j = 0; j < weight.rows; ++j) {
    row.logits[static_cast<size_t>(j)] = scale * dot(hidden, weight.row(j), weight.cols);
  }
  const Real highest = *std::max_element(row.logits.begin(), row.logits.end());
  Real total = 0, weighted = 0;
  for (const Real logit : row.logits) {
    const Real mass = std::exp(logit - highest);
    total += mass;
    weighted += mass * (logit - highest);
  }
  row.lse = highest + std::log(total);
  row.mean = highest + weighted / total;
  return row;
}

template <class Real>
void store_head_values(const HeadValues& values, int64_t r, const HeadRow<Real>& row, int32_t target) {
  if (values.log_prob)
    Matrix<Real>(values.log_prob).at(r, 0) = row.logits[static_cast<size_t>(target)] - row.lse;
  if (values.lse) Matrix<Real>(values.lse).at(r, 0) = row.lse;
  if (values.entropy) Matrix<Real>(values.entropy).at(r, 0) = row.lse - row.mean;
}

template <class Real>
void head(const HeadValues& values, Matrix<const Real> hidden, Matrix<const Real> weight,
          Matrix<const int32_t> targets, double logit_scale) {
  for (int64_t r = 0; r < hidden.rows; ++r) {
    checks::index("head: targets", targets.at(r, 0), weight.rows);
    store_head_values(values, r, head_row(hidden.row(r), weight, static_cast<Real>(logit_scale)),
                      targets.at(r, 0));
  }
}

template <class Real>
void head_backward(Matrix<Real> dhidden, bool accumulate_dweight, Matrix<Real> dweight,
                   const HeadValues& values, Matrix<const Real> hidden, Matrix<const Real> weight,
                   Matrix<const int32_t> targets, const HeadGradients& gradients, double logit_scale) {
  const Matrix<const Real> g_log_prob(gradients.log_prob), g_lse(gradients.lse), g_entropy(gradients.entropy);
  const Real scale = static_cast<Real>(logit_scale);
  const auto upstream = [](const Matrix<const Real>& g, int64_t r) { return g ? g.at(r, 0) : Real(0); };
  std::vector<Real> sums(static_cast<size_t>(weight.rows * weight.cols), Real(0));
  for (int64_t r = 0; r < hidden.rows; ++r) {
    const int32_t target = targets.at(r, 0);
    checks::index("head: targets", target, weight.rows);
    const HeadRow<Real> row = head_row(hidden.row(r), weight, scale);
    store_head_values(values, r, row, target);
    std::fill_n(dhidden.row(r), hidden.cols, Real(0));
    for (int64_t j = 0; j < weight.rows; ++j) {
      const Real z = row.logits[static_cast<size_t>(j)], p = std::exp(z - row.lse);
      const Real dz = (upstream(g_log_prob, r) * ((j == target ? Real(1) : Real(0)) - p) +
                       upstream(g_lse, r) * p - upstream(g_entropy, r) * p * (z - row.mean)) *
                      scale;
      for (int64_t c = 0; c < hidden.cols; ++c) {
        dhidden.at(r, c) += dz * weight.at(j, c);
        sums[static_cast<size_t>(j * weight.cols + c)] += dz * hidden.at(r, c);
      }
    }
  }
  for (int64_t j = 0; j < weight.rows; ++j) {
    for (int64_t c = 0; c < weight.cols; ++c) {
      const Real before = accumulate_dweight ? dweight.at(j, c) : Real(0);
      dweight.at(j, c) = before + sums[static_cast<size_t>(j * weight.cols + c)];
    }
  }
}

}  // namespace gristmill::runtime::reference

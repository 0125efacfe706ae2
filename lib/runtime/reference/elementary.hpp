#pragma once

// Reference of the elementary methods, the product, embeddings and the optimizer: the definition, in plain
// loops.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "runtime/backend.hpp"
#include "runtime/checks.hpp"
#include "runtime/matrix.hpp"

namespace gristmill::runtime::reference {

template <class Real>
void fill(Matrix<Real> out, Real value) {
  for (int64_t r = 0; r < out.rows; ++r) std::fill_n(out.row(r), out.cols, value);
}

template <class Real>
void copy(Matrix<Real> out, Matrix<const Real> in) {
  for (int64_t r = 0; r < in.rows; ++r) std::copy_n(in.row(r), in.cols, out.row(r));
}

template <class Real>
void axpy(Matrix<Real> out, Real scale, Matrix<const Real> in) {
  for (int64_t r = 0; r < in.rows; ++r) {
    for (int64_t c = 0; c < in.cols; ++c) out.at(r, c) += scale * in.at(r, c);
  }
}

template <class Real>
void gather_rows(Matrix<Real> out, Matrix<const Real> in, Matrix<const int32_t> rows) {
  for (int64_t r = 0; r < rows.rows; ++r) {
    checks::index("gather_rows", rows.at(r, 0), in.rows);
    std::copy_n(in.row(rows.at(r, 0)), in.cols, out.row(r));
  }
}

template <class Real>
void scatter_rows(Matrix<Real> out, Matrix<const Real> in, Matrix<const int32_t> rows) {
  for (int64_t r = 0; r < rows.rows; ++r) {
    checks::index("scatter_rows", rows.at(r, 0), out.rows);
    std::copy_n(in.row(r), in.cols, out.row(rows.at(r, 0)));
  }
}

template <class Real>
void sum_rows(Matrix<Real> out, Matrix<const Real> in) {
  for (int64_t c = 0; c < in.cols; ++c) {
    Real sum = 0;
    for (int64_t r = 0; r < in.rows; ++r) sum += in.at(r, c);
    out.at(0, c) += sum;
  }
}

template <class Real>
double sum_of_squares(Matrix<const Real> in) {
  double sum = 0;
  for (int64_t r = 0; r < in.rows; ++r) {
    for (int64_t c = 0; c < in.cols; ++c)
      sum += static_cast<double>(in.at(r, c)) * static_cast<double>(in.at(r, c));
  }
  return sum;
}

template <class Real>
void matmul(const Matmul& args) {
  const Matrix<Real> out(args.out);
  const Matrix<const Real> a(args.a), b(args.b), bias(args.bias), residual(args.residual);
  const int64_t depth = args.transpose_a ? a.rows : a.cols;
  for (int64_t m = 0; m < out.rows; ++m) {
    for (int64_t n = 0; n < out.cols; ++n) {
      Real sum = 0;
      for (int64_t k = 0; k < depth; ++k) {
        sum += (args.transpose_a ? a.at(k, m) : a.at(m, k)) * (args.transpose_b ? b.at(n, k) : b.at(k, n));
      }
      if (bias) sum += bias.at(0, n);
      if (residual) sum += residual.at(m, n);
      out.at(m, n) = args.accumulate ? out.at(m, n) + sum : sum;
    }
  }
}

template <class Real>
void embedding(Matrix<Real> out, Matrix<const Real> table, Matrix<const int32_t> ids, bool accumulate) {
  for (int64_t t = 0; t < ids.rows; ++t) {
    checks::index("embedding", ids.at(t, 0), table.rows);
    const Real* row = table.row(ids.at(t, 0));
    for (int64_t c = 0; c < table.cols; ++c) out.at(t, c) = accumulate ? out.at(t, c) + row[c] : row[c];
  }
}

template <class Real>
void embedding_backward(Matrix<Real> dtable, Matrix<const Real> dout, Matrix<const int32_t> ids) {
  std::vector<int64_t> order(static_cast<size_t>(ids.rows));
  for (int64_t t = 0; t < ids.rows; ++t) {
    checks::index("embedding_backward", ids.at(t, 0), dtable.rows);
    order[static_cast<size_t>(t)] = t;
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t x, int64_t y) { return ids.at(x, 0) < ids.at(y, 0); });
  std::vector<Real> sum(static_cast<size_t>(dtable.cols));
  for (size_t i = 0; i < order.size();) {
    const int32_t id = ids.at(order[i], 0);
    std::fill(sum.begin(), sum.end(), Real(0));
    for (; i < order.size() && ids.at(order[i], 0) == id; ++i) {
      for (int64_t c = 0; c < dtable.cols; ++c) sum[static_cast<size_t>(c)] += dout.at(order[i], c);
    }
    for (int64_t c = 0; c < dtable.cols; ++c) dtable.at(id, c) += sum[static_cast<size_t>(c)];
  }
}

/// m = β1·m + (1-β1)·g, v = β2·v + (1-β2)·g², p -= lr·(m̂ / (√v̂ + ε) + λ·p) with m̂ = m/(1-β1^t), v̂ =
/// v/(1-β2^t).
template <class Real>
void adamw(Matrix<Real> parameter, Matrix<Real> m, Matrix<Real> v, Matrix<const Real> gradient,
           const AdamW& args) {
  const double correction1 = 1 - std::pow(args.beta1, static_cast<double>(args.step));
  const double correction2 = 1 - std::pow(args.beta2, static_cast<double>(args.step));
  const Real beta1 = static_cast<Real>(args.beta1), beta2 = static_cast<Real>(args.beta2);
  const Real rest1 = static_cast<Real>(1 - args.beta1), rest2 = static_cast<Real>(1 - args.beta2);
  const Real step = static_cast<Real>(args.learning_rate / correction1);
  const Real unbias = static_cast<Real>(1 / std::sqrt(correction2)),
             epsilon = static_cast<Real>(args.epsilon);
  const Real decay = static_cast<Real>(args.learning_rate * args.weight_decay);
  const Real scale = static_cast<Real>(args.gradient_scale);
  for (int64_t r = 0; r < parameter.rows; ++r) {
    for (int64_t c = 0; c < parameter.cols; ++c) {
      const Real g = gradient.at(r, c) * scale;
      Real& m_at = m.at(r, c);
      Real& v_at = v.at(r, c);
      Real& p = parameter.at(r, c);
      m_at = beta1 * m_at + rest1 * g;
      v_at = beta2 * v_at + rest2 * g * g;
      p -= decay * p + step * m_at / (std::sqrt(v_at) * unbias + epsilon);
    }
  }
}

}  // namespace gristmill::runtime::reference

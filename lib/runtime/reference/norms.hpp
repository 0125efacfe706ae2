#pragma once

// Reference of the norms, rotary positions and activations, with their gradients.

#include <cmath>
#include <cstdint>
#include <vector>

#include "runtime/matrix.hpp"

namespace gristmill::runtime::reference {

template <class Real>
void rmsnorm(Matrix<Real> out, Matrix<Real> rstd, Matrix<const Real> in, Matrix<const Real> weight,
             double eps) {
  for (int64_t t = 0; t < in.rows; ++t) {
    Real squares = 0;
    for (int64_t c = 0; c < in.cols; ++c) squares += in.at(t, c) * in.at(t, c);
    const Real scale = 1 / std::sqrt(squares / static_cast<Real>(in.cols) + static_cast<Real>(eps));
    rstd.at(t, 0) = scale;
    for (int64_t c = 0; c < in.cols; ++c) out.at(t, c) = in.at(t, c) * scale * weight.at(0, c);
  }
}

/// With x̂ = in·rstd and g = dout·weight: din = rstd·(g - x̂·mean(g·x̂)), dweight += Σ_t dout·x̂.
template <class Real>
void rmsnorm_backward(Matrix<Real> din, bool accumulate, Matrix<Real> dweight, Matrix<const Real> dout,
                      Matrix<const Real> in, Matrix<const Real> weight, Matrix<const Real> rstd) {
  std::vector<Real> sums(static_cast<size_t>(in.cols), Real(0));
  for (int64_t t = 0; t < in.rows; ++t) {
    const Real scale = rstd.at(t, 0);
    Real mean = 0;
    for (int64_t c = 0; c < in.cols; ++c) mean += dout.at(t, c) * weight.at(0, c) * in.at(t, c) * scale;
    mean /= static_cast<Real>(in.cols);
    for (int64_t c = 0; c < in.cols; ++c) {
      const Real unit = in.at(t, c) * scale, d = dout.at(t, c);
      sums[static_cast<size_t>(c)] += d * unit;
      const Real gradient = scale * (d * weight.at(0, c) - unit * mean);
      din.at(t, c) = accumulate ? din.at(t, c) + gradient : gradient;
    }
  }
  for (int64_t c = 0; c < in.cols; ++c) dweight.at(0, c) += sums[static_cast<size_t>(c)];
}

template <class Real>
void layernorm(Matrix<Real> out, Matrix<Real> moments, Matrix<const Real> in, Matrix<const Real> weight,
               Matrix<const Real> bias, double eps) {
  for (int64_t t = 0; t < in.rows; ++t) {
    Real mean = 0, variance = 0;
    for (int64_t c = 0; c < in.cols; ++c) mean += in.at(t, c);
    mean /= static_cast<Real>(in.cols);
    for (int64_t c = 0; c < in.cols; ++c) variance += (in.at(t, c) - mean) * (in.at(t, c) - mean);
    const Real scale = 1 / std::sqrt(variance / static_cast<Real>(in.cols) + static_cast<Real>(eps));
    moments.at(t, 0) = mean;
    moments.at(t, 1) = scale;
    for (int64_t c = 0; c < in.cols; ++c) {
      out.at(t, c) = (in.at(t, c) - mean) * scale * weight.at(0, c) + bias.at(0, c);
    }
  }
}

/// With x̂ = (in-mean)·rstd and g = dout·weight: din = rstd·(g - mean(g) - x̂·mean(g·x̂)).
template <class Real>
void layernorm_backward(Matrix<Real> din, bool accumulate, Matrix<Real> dweight, Matrix<Real> dbias,
                        Matrix<const Real> dout, Matrix<const Real> in, Matrix<const Real> weight,
                        Matrix<const Real> moments) {
  std::vector<Real> weight_sums(static_cast<size_t>(in.cols), Real(0)), bias_sums(weight_sums);
  for (int64_t t = 0; t < in.rows; ++t) {
    const Real mean = moments.at(t, 0), scale = moments.at(t, 1);
    Real mean_g = 0, mean_gx = 0;
    for (int64_t c = 0; c < in.cols; ++c) {
      const Real g = dout.at(t, c) * weight.at(0, c);
      mean_g += g;
      mean_gx += g * (in.at(t, c) - mean) * scale;
    }
    mean_g /= static_cast<Real>(in.cols);
    mean_gx /= static_cast<Real>(in.cols);
    for (int64_t c = 0; c < in.cols; ++c) {
      const Real unit = (in.at(t, c) - mean) * scale, d = dout.at(t, c);
      weight_sums[static_cast<size_t>(c)] += d * unit;
      bias_sums[static_cast<size_t>(c)] += d;
      const Real gradient = scale * (d * weight.at(0, c) - mean_g - unit * mean_gx);
      din.at(t, c) = accumulate ? din.at(t, c) + gradient : gradient;
    }
  }
  for (int64_t c = 0; c < in.cols; ++c) {
    dweight.at(0, c) += weight_sums[static_cast<size_t>(c)];
    dbias.at(0, c) += bias_sums[static_cast<size_t>(c)];
  }
}

/// The pair (x_i, x_{i+d/2}) is turned by the angle position·inverse_frequency_i; angles are taken in double.
template <class Real>
void rotary(Matrix<Real> x, Matrix<const int32_t> positions, Matrix<const Real> inverse_frequency,
            int64_t heads, int64_t head_dim, bool inverse) {
  const int64_t half = head_dim / 2;
  for (int64_t t = 0; t < x.rows; ++t) {
    for (int64_t i = 0; i < half; ++i) {
      const double angle = positions.at(t, 0) * static_cast<double>(inverse_frequency.at(0, i));
      const Real cosine = static_cast<Real>(std::cos(angle));
      const Real sine = static_cast<Real>(inverse ? -std::sin(angle) : std::sin(angle));
      for (int64_t h = 0; h < heads; ++h) {
        Real& first = x.at(t, h * head_dim + i);
        Real& second = x.at(t, h * head_dim + half + i);
        const Real turned = first * cosine - second * sine;
        second = second * cosine + first * sine;
        first = turned;
      }
    }
  }
}

template <class Real>
void swiglu(Matrix<Real> out, Matrix<const Real> gate_up) {
  for (int64_t t = 0; t < out.rows; ++t) {
    for (int64_t f = 0; f < out.cols; ++f) {
      const Real gate = gate_up.at(t, f);
      out.at(t, f) = gate / (1 + std::exp(-gate)) * gate_up.at(t, out.cols + f);
    }
  }
}

/// d silu(g)/dg = σ·(1 + g·(1-σ)).
template <class Real>
void swiglu_backward(Matrix<Real> dgate_up, Matrix<const Real> dout, Matrix<const Real> gate_up) {
  for (int64_t t = 0; t < dout.rows; ++t) {
    for (int64_t f = 0; f < dout.cols; ++f) {
      const Real gate = gate_up.at(t, f), up = gate_up.at(t, dout.cols + f), d = dout.at(t, f);
      const Real sigmoid = 1 / (1 + std::exp(-gate));
      dgate_up.at(t, f) = d * up * sigmoid * (1 + gate * (1 - sigmoid));
      dgate_up.at(t, dout.cols + f) = d * gate * sigmoid;
    }
  }
}

template <class Real>
constexpr Real kGeluScale = static_cast<Real>(0.79788456080286535588);  // √(2/π)
template <class Real>
constexpr Real kGeluCubic = static_cast<Real>(0.044715);

/// gelu(x) = x/2·(1 + tanh(√(2/π)·(x + 0.044715·x³))).
template <class Real>
void gelu(Matrix<Real> out, Matrix<const Real> in) {
  for (int64_t t = 0; t < in.rows; ++t) {
    for (int64_t c = 0; c < in.cols; ++c) {
      const Real x = in.at(t, c);
      const Real inner = kGeluScale<Real> * (x + kGeluCubic<Real> * x * x * x);
      out.at(t, c) = x / 2 * (1 + std::tanh(inner));
    }
  }
}

template <class Real>
void gelu_backward(Matrix<Real> din, Matrix<const Real> dout, Matrix<const Real> in) {
  for (int64_t t = 0; t < in.rows; ++t) {
    for (int64_t c = 0; c < in.cols; ++c) {
      const Real x = in.at(t, c);
      const Real tangent = std::tanh(kGeluScale<Real> * (x + kGeluCubic<Real> * x * x * x));
      const Real slope = kGeluScale<Real> * (1 + 3 * kGeluCubic<Real> * x * x);
      din.at(t, c) = dout.at(t, c) * ((1 + tangent) / 2 + x / 2 * (1 - tangent * tangent) * slope);
    }
  }
}

}  // namespace gristmill::runtime::reference

#pragma once

// The activations of one element, for their own kernels and for the products that make them on the way.

namespace gristmill::runtime::cuda {

/// 1 / (1 + e^-x). The division is the quick one: 2 units in the last place, and 0 where the result is below
/// 2^-126.
__device__ inline float sigmoid(float x) { return __fdividef(1.0f, 1.0f + expf(-x)); }

/// SwiGLU (Shazeer 2020).
__device__ inline float swiglu_of(float gate, float up) { return gate * sigmoid(gate) * up; }

constexpr float kGeluScale = 1.5957691216057308f;  // 2·√(2/π)
constexpr float kGeluCubic = 0.044715f;

/// The tanh form (Hendrycks & Gimpel 2016): x/2·(1 + tanh u) = x·σ(2u), u = √(2/π)·(x + 0.044715·x³).
__device__ inline float gelu_gate(float x) { return sigmoid(kGeluScale * fmaf(kGeluCubic * x * x, x, x)); }
__device__ inline float gelu_of(float x) { return x * gelu_gate(x); }
/// d gelu(x) / dx.
__device__ inline float gelu_slope(float x) {
  const float s = gelu_gate(x);
  return fmaf(x * s * (1.0f - s), kGeluScale * fmaf(3 * kGeluCubic * x, x, 1.0f), s);
}

}  // namespace gristmill::runtime::cuda

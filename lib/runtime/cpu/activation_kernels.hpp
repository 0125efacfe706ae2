#pragma once

// GELU and SwiGLU, forward and backward.

#include "runtime/cpu/kernels.hpp"
#include "runtime/cpu/simd.hpp"

namespace gristmill::runtime::cpu {
namespace {

GRISTMILL_INLINE Vec swiglu_of(Vec gate, Vec up) { return gate * sigmoid(gate) * up; }

void swiglu(float* out, const float* gate, const float* up, int64_t size) {
  each_vector(size,
              [&](int64_t i, auto get, auto put) { put(out + i, swiglu_of(get(gate + i), get(up + i))); });
}

void swiglu_backward(float* dgate, float* dup, const float* dout, const float* gate, const float* up,
                     int64_t size) {
  each_vector(size, [&](int64_t i, auto get, auto put) {
    const Vec g = get(gate + i), d = get(dout + i), s = sigmoid(g), one = splat(1.0F);
    const Vec up_gradient = d * g * s;
    put(dgate + i, d * get(up + i) * s * fma(g, one - s, one));
    put(dup + i, up_gradient);
  });
}

// gelu(x) = x·σ(2u) with u = √(2/π)·(x + 0.044715·x³), since (1 + tanh u)/2 = σ(2u).
GRISTMILL_INLINE Vec gelu_gate(Vec x) {
  return sigmoid(splat(1.5957691216057308F) * fma(splat(0.044715F) * x * x, x, x));
}

GRISTMILL_INLINE Vec gelu_of(Vec x) { return x * gelu_gate(x); }

void gelu(float* out, const float* in, int64_t size) {
  each_vector(size, [&](int64_t i, auto get, auto put) { put(out + i, gelu_of(get(in + i))); });
}

void gelu_backward(float* din, const float* dout, const float* in, int64_t size) {
  each_vector(size, [&](int64_t i, auto get, auto put) {
    const Vec x = get(in + i), s = gelu_gate(x), one = splat(1.0F);
    const Vec slope = splat(1.5957691216057308F) * fma(splat(3 * 0.044715F) * x, x, one);
    put(din + i, get(dout + i) * fma(x * s * (one - s), slope, s));
  });
}

}  // namespace
}  // namespace gristmill::runtime::cpu

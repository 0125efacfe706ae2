// AdamW (Loshchilov & Hutter 2019, algorithm 2).

#include "cuda/rows.cuh"
#include "runtime/rounding.hpp"

using gristmill::runtime::Rounding;
using namespace gristmill::runtime::cuda;

namespace {

/// The value rounded to bf16 by 16 random bits (runtime/rounding.hpp).
__device__ inline float stochastically(float value, const Rounding& rounding, uint32_t number) {
  uint32_t x = (number + rounding.element) ^ rounding.key;
  x ^= x >> 16;
  x *= gristmill::runtime::kRoundingFirst;
  x = (x ^ (x >> 15)) + rounding.key_too;
  x ^= x >> 16;
  x *= gristmill::runtime::kRoundingFirst;
  x ^= x >> 15;
  x *= gristmill::runtime::kRoundingSecond;
  return value == value ? __uint_as_float((__float_as_uint(value) + (x >> 16)) & 0xFFFF0000u) : value;
}

}  // namespace

/// m = β1·m + (1-β1)·g, v = β2·v + (1-β2)·g², p -= step·m / (√v·unbias + ε) + decay·p.
extern "C" __global__ void adamw(Rows parameter, Rows m, Rows v, ConstRows gradient, AdamWFactors f,
                                 Rounding rounding, uint32_t across) {
  const Place at = place_in(across, parameter.rows, parameter.cols);
  if (at.count == 0) return;
  const Four g_run = load(gradient, at.row, at.col, at.count);
  Four p_run = load(parameter, at.row, at.col, at.count);
  Four m_run = load(m, at.row, at.col, at.count), v_run = load(v, at.row, at.col, at.count);
#pragma unroll
  for (int i = 0; i < kRun; ++i) {
    const float g = g_run.at[i] * f.scale, p = p_run.at[i];
    const float first = fmaf(f.beta1, m_run.at[i], f.rest1 * g);
    const float second = fmaf(f.beta2, v_run.at[i], f.rest2 * g * g);
    m_run.at[i] = first;
    v_run.at[i] = second;
    p_run.at[i] = p - fmaf(f.decay, p, f.step * first / fmaf(sqrtf(second), f.unbias, f.epsilon));
  }
  if (parameter.narrow) {
    const auto number = static_cast<uint32_t>(at.row * parameter.cols + at.col);
#pragma unroll
    for (int i = 0; i < kRun; ++i) p_run.at[i] = stochastically(p_run.at[i], rounding, number + i);
  }
  store(m, at.row, at.col, m_run, at.count);
  store(v, at.row, at.col, v_run, at.count);
  store(parameter, at.row, at.col, p_run, at.count);
}

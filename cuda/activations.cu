// SwiGLU and GELU with their gradients, element by element.

#include "cuda/activations.cuh"
#include "cuda/rows.cuh"

using namespace gristmill::runtime::cuda;

/// gate_up holds a row's gates, then its ups.
extern "C" __global__ void swiglu(Rows out, ConstRows gate_up, uint32_t across) {
  const Place at = place_in(across, out.rows, out.cols);
  if (at.count == 0) return;
  const Four gate = load(gate_up, at.row, at.col, at.count);
  const Four up = load(gate_up, at.row, out.cols + at.col, at.count);
  Four result;
#pragma unroll
  for (int i = 0; i < kRun; ++i) result.at[i] = swiglu_of(gate.at[i], up.at[i]);
  store(out, at.row, at.col, result, at.count);
}

/// d silu(g)/dg = σ·(1 + g·(1-σ)).
extern "C" __global__ void swiglu_backward(Rows dgate_up, ConstRows dout, ConstRows gate_up,
                                           uint32_t across) {
  const Place at = place_in(across, dout.rows, dout.cols);
  if (at.count == 0) return;
  const Four d = load(dout, at.row, at.col, at.count);
  const Four gate = load(gate_up, at.row, at.col, at.count);
  const Four up = load(gate_up, at.row, dout.cols + at.col, at.count);
  Four dgate, dup;
#pragma unroll
  for (int i = 0; i < kRun; ++i) {
    const float g = gate.at[i], s = sigmoid(g);
    dup.at[i] = d.at[i] * g * s;
    dgate.at[i] = d.at[i] * up.at[i] * s * fmaf(g, 1.0f - s, 1.0f);
  }
  store(dgate_up, at.row, at.col, dgate, at.count);
  store(dgate_up, at.row, dout.cols + at.col, dup, at.count);
}

extern "C" __global__ void gelu(Rows out, ConstRows in, uint32_t across) {
  const Place at = place_in(across, out.rows, out.cols);
  if (at.count == 0) return;
  Four x = load(in, at.row, at.col, at.count);
#pragma unroll
  for (int i = 0; i < kRun; ++i) x.at[i] = gelu_of(x.at[i]);
  store(out, at.row, at.col, x, at.count);
}

extern "C" __global__ void gelu_backward(Rows din, ConstRows dout, ConstRows in, uint32_t across) {
  const Place at = place_in(across, din.rows, din.cols);
  if (at.count == 0) return;
  const Four x = load(in, at.row, at.col, at.count);
  Four d = load(dout, at.row, at.col, at.count);
#pragma unroll
  for (int i = 0; i < kRun; ++i) d.at[i] *= gelu_slope(x.at[i]);
  store(din, at.row, at.col, d, at.count);
}

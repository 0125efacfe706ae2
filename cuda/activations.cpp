#include "cuda/backend.hpp"
#include "cuda/tiles.hpp"

namespace gristmill::runtime::cuda {

void CudaBackend::swiglu(View out, ConstView gate_up) {
  checks::swiglu(out, gate_up, types_);
  const Tiles tiles = tiled(out.rows, out.cols);
  gpu_.launch("activations/swiglu", tiles.shape, rows_of(out), rows_of(gate_up), tiles.across);
  written(out);
}

void CudaBackend::swiglu_backward(View dgate_up, ConstView dout, ConstView gate_up) {
  checks::swiglu(dout, gate_up, types_);
  checks::swiglu(dout, dgate_up, types_);
  const Tiles tiles = tiled(dout.rows, dout.cols);
  gpu_.launch("activations/swiglu_backward", tiles.shape, rows_of(dgate_up), rows_of(dout), rows_of(gate_up),
              tiles.across);
  written(dgate_up);
}

void CudaBackend::gelu(View out_view, ConstView in_view) {
  checks::same_shape_computed("gelu", out_view, in_view, types_);
  Rows out = rows_of(out_view);
  ConstRows in = rows_of(in_view);
  flatten(out, in);
  const Tiles tiles = tiled(out.rows, out.cols);
  gpu_.launch("activations/gelu", tiles.shape, out, in, tiles.across);
  written(out_view);
}

void CudaBackend::gelu_backward(View din_view, ConstView dout_view, ConstView in_view) {
  checks::same_shape_computed("gelu_backward", din_view, in_view, types_);
  checks::same_shape_computed("gelu_backward", dout_view, in_view, types_);
  Rows din = rows_of(din_view);
  ConstRows dout = rows_of(dout_view), in = rows_of(in_view);
  flatten(din, dout, in);
  const Tiles tiles = tiled(din.rows, din.cols);
  gpu_.launch("activations/gelu_backward", tiles.shape, din, dout, in, tiles.across);
  written(din_view);
}

}  // namespace gristmill::runtime::cuda

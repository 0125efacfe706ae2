#include "cuda/backend.hpp"
#include "cuda/expert_arguments.hpp"
#include "cuda/tiles.hpp"

namespace gristmill::runtime::cuda {

namespace {

constexpr int64_t kWarpRows = 8, kThreads = 256;

Choices choices_of(const ConstView& view) {
  return {static_cast<int32_t*>(const_cast<void*>(view.data)), view.rows, view.cols, view.stride};
}

/// A warp a row.
LaunchShape warps_for(int64_t rows) { return {{blocks_for(rows, kWarpRows)}, {32, kWarpRows}}; }

}  // namespace

void CudaBackend::route(const Routing& out, ConstView logits) {
  checks::route(out, logits, types_);
  const int64_t experts = logits.cols, rows = out.tokens.rows;
  int32_t* keys = choices_.get<int32_t>(rows);
  gpu_.launch("experts/route", warps_for(logits.rows),
              RouteArguments{rows_of(logits), rows_of(out.probabilities), rows_of(out.lse),
                             rows_of(out.weights), choices_of(out.experts), keys});
  const Sorted order = sorted({keys, rows, 1}, experts);
  gpu_.launch("experts/route_places", {{blocks_for(rows, kThreads)}, {kThreads}}, order.order,
              choices_of(out.places), static_cast<int32_t*>(out.tokens.data), out.tokens.stride);
  gpu_.launch("experts/route_offsets", {{blocks_for(experts + 1, kThreads)}, {kThreads}}, order.keys, rows,
              experts, static_cast<int32_t*>(out.offsets.data), out.offsets.stride, rows_of(out.load));
  written(out.probabilities, out.lse, out.weights, out.experts, out.places, out.tokens, out.offsets,
          out.load);
  if (!out.mass) return;
  fill(out.mass, 0);
  sum_rows(out.mass, out.probabilities);
}

void CudaBackend::route_backward(View dlogits, ConstView dweights, const Routing& routing,
                                 const RouterGradients& gradients) {
  checks::route_gradients(dlogits, dweights, routing, gradients, types_);
  gpu_.launch(
      "experts/route_backward", warps_for(dlogits.rows),
      RouteGradientArguments{rows_of(dlogits), rows_of(dweights), rows_of(ConstView(routing.probabilities)),
                             rows_of(ConstView(routing.lse)), rows_of(ConstView(routing.weights)),
                             rows_of(gradients.load), choices_of(routing.experts),
                             static_cast<float>(gradients.balance), static_cast<float>(gradients.z)});
  written(dlogits);
}

void CudaBackend::combine_rows(View out, ConstView in, ConstView weights, ConstView places,
                               ConstView residual) {
  checks::combine_rows(out, in, weights, places, residual, types_);
  const Tiles tiles = tiled(out.rows, out.cols);
  gpu_.launch("experts/combine_rows", tiles.shape, rows_of(out), rows_of(in), rows_of(weights),
              choices_of(places), rows_of(residual), tiles.across);
  written(out);
}

void CudaBackend::combine_rows_backward(View din, View dweights, ConstView dout, ConstView in,
                                        ConstView weights, ConstView places) {
  checks::combine_rows_gradients(din, dweights, dout, in, weights, places, types_);
  gpu_.launch("experts/combine_rows_backward", warps_for(places.rows * places.cols), rows_of(din),
              rows_of(dweights), rows_of(dout), rows_of(in), rows_of(weights), choices_of(places));
  written(din, dweights);
}

}  // namespace gristmill::runtime::cuda

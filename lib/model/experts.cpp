#include "model/experts.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/str.hpp"

namespace gristmill::model {

using runtime::Backend;
using runtime::ConstView;
using runtime::DType;
using runtime::View;

ExpertActivations::ExpertActivations(runtime::Device& device)
    : probabilities(device),
      lse(device),
      chosen(device),
      weights(device),
      places(device),
      offsets(device),
      tokens(device),
      wide(device),
      outputs(device),
      activated(device) {}

ExpertWorkspace::ExpertWorkspace(runtime::Device& device)
    : inputs(device),
      activated(device),
      drows(device),
      dactivated(device),
      dwide(device),
      dweights(device),
      dlogits(device) {}

View ExpertLinear::Piece::view(const ParameterSet& set) const {
  return set.region(offset, rows * cols).reshaped(rows, cols);
}

ExpertLinear::ExpertLinear(const ParameterSet& parameters, const std::string& prefix,
                           const std::vector<std::string>& names, int64_t experts) {
  const auto offset_of = [&](int64_t expert, const std::string& name) {
    return parameters.table()[parameter_index(parameters, str(prefix, expert, ".", name, ".weight"))].offset;
  };
  stride_ = experts > 1 ? offset_of(1, names.front()) - offset_of(0, names.front()) : 0;
  for (const auto& name : names) {
    const auto& info = parameters.table()[parameter_index(parameters, str(prefix, 0, ".", name, ".weight"))];
    for (int64_t e = 1; e < experts; ++e) {
      if (offset_of(e, name) != info.offset + e * stride_)
        fail(Kind::internal, "the experts' weights ", name, " are not at one distance");
    }
    const bool touches =
        !pieces_.empty() && pieces_.back().offset + pieces_.back().rows * pieces_.back().cols == info.offset;
    if (touches) {
      pieces_.back().rows += info.rows;
    } else {
      pieces_.push_back({info.offset, info.rows, info.cols});
    }
  }
}

void ExpertLinear::forward(Backend& backend, const Weights& weights, View out, ConstView in,
                           ConstView offsets) const {
  int64_t column = 0;
  for (const auto& piece : pieces_) {
    runtime::GroupedMatmul product;
    product.out = out.col_range(column, piece.rows);
    product.a = in;
    product.b = piece.view(weights.parameters);
    product.transpose_b = true;
    product.expert_stride = stride_;
    product.offsets = offsets;
    product.keep_b = true;
    backend.grouped_matmul(product);
    column += piece.rows;
  }
}

void ExpertLinear::backward(Backend& backend, const Weights& weights, View din, ConstView dout, ConstView in,
                            ConstView offsets) const {
  int64_t column = 0;
  for (const auto& piece : pieces_) {
    const ConstView slice = dout.col_range(column, piece.rows);
    backend.grouped_matmul_gradient(piece.view(*weights.gradients), stride_, slice, in, offsets);
    runtime::GroupedMatmul input;
    input.out = din;
    input.a = slice;
    input.b = piece.view(weights.parameters);
    input.expert_stride = stride_;
    input.offsets = offsets;
    input.keep_b = true;
    input.accumulate = column > 0;
    backend.grouped_matmul(input);
    column += piece.rows;
  }
}

Experts::Experts(const ParameterSet& parameters, const std::string& prefix, const Config& config)
    : dim_(config.dim),
      hidden_dim_(config.hidden_dim),
      experts_(config.experts),
      chosen_(config.experts_per_token),
      gate_(Linear::linear(parameters, {prefix + "block_sparse_moe.gate"})),
      wide_(parameters, prefix + "block_sparse_moe.experts.", {"w1", "w3"}, config.experts),
      down_(parameters, prefix + "block_sparse_moe.experts.", {"w2"}, config.experts) {}

runtime::Routing Experts::routing(const ExpertRun& run) const {
  const DType real = run.device.real();
  runtime::Routing result;
  result.probabilities = run.kept.probabilities.get(real, run.tokens, experts_);
  result.lse = run.kept.lse.get(real, run.tokens, 1);
  result.experts = run.kept.chosen.get(DType::i32, run.tokens, chosen_);
  result.weights = run.kept.weights.get(real, run.tokens, chosen_);
  result.offsets = run.kept.offsets.get(DType::i32, experts_ + 1, 1);
  result.tokens = run.kept.tokens.get(DType::i32, run.tokens * chosen_, 1);
  result.places = run.kept.places.get(DType::i32, run.tokens, chosen_);
  return result;
}

View Experts::rows(const ExpertRun& run, runtime::Scratch& place, int64_t cols) const {
  return place.get(run.device.compute(), run.tokens * chosen_, cols);
}

View Experts::activated(const ExpertRun& run) const {
  return rows(run, run.keep_all ? run.kept.activated : run.work.activated, hidden_dim_);
}

/// Each row's token; a copy that is cheap to make anew.
View Experts::inputs(const ExpertRun& run, ConstView normed) const {
  const View result = rows(run, run.work.inputs, dim_);
  run.device.backend().gather_rows(result, normed, routing(run).tokens);
  return result;
}

void Experts::forward(const ExpertRun& run, View out, ConstView normed, ConstView residual,
                      const RouterCounts& counts) const {
  auto& backend = run.device.backend();
  runtime::Routing routes = routing(run);
  routes.load = counts.load;
  routes.mass = counts.mass;
  gate_.forward(backend, run.weights, routes.probabilities, normed);  // logits, until they are routed
  backend.route(routes, routes.probabilities);
  if (counts.squared_lse) backend.sum_of_squares(counts.squared_lse, routes.lse);
  const View wide = rows(run, run.kept.wide, 2 * hidden_dim_), outputs = rows(run, run.kept.outputs, dim_);
  wide_.forward(backend, run.weights, wide, inputs(run, normed), routes.offsets);
  backend.swiglu(activated(run), wide);
  down_.forward(backend, run.weights, outputs, activated(run), routes.offsets);
  if (out) backend.combine_rows(out, outputs, routes.weights, routes.places, residual);
}

void Experts::backward(const ExpertRun& run, View dnormed, ConstView dout, ConstView normed,
                       const runtime::RouterGradients& losses) const {
  const DType real = run.device.real();
  auto& backend = run.device.backend();
  const runtime::Routing routes = routing(run);
  const View wide = rows(run, run.kept.wide, 2 * hidden_dim_), outputs = rows(run, run.kept.outputs, dim_);
  const View dweights = run.work.dweights.get(real, run.tokens, chosen_),
             drows = rows(run, run.work.drows, dim_);
  backend.combine_rows_backward(drows, dweights, dout, outputs, routes.weights, routes.places);
  if (!run.keep_all) backend.swiglu(activated(run), wide);
  const View dactivated = rows(run, run.work.dactivated, hidden_dim_),
             dwide = rows(run, run.work.dwide, 2 * hidden_dim_);
  down_.backward(backend, run.weights, dactivated, drows, activated(run), routes.offsets);
  backend.swiglu_backward(dwide, dactivated, wide);
  wide_.backward(backend, run.weights, drows, dwide, inputs(run, normed), routes.offsets);
  const View dlogits = run.work.dlogits.get(real, run.tokens, experts_);
  backend.route_backward(dlogits, dweights, routes, losses);
  gate_.backward(backend, run.weights, dnormed, dlogits, normed);
  backend.combine_rows(dnormed, drows, {}, routes.places, dnormed);
}

}  // namespace gristmill::model

#include "model/block.hpp"

#include <cmath>
#include <string>

#include "base/str.hpp"

namespace gristmill::model {

using runtime::ConstView;
using runtime::View;

Activations::Activations(runtime::Device& device)
    : statistics1(device),
      qkv(device),
      head_statistics(device),
      attention(device),
      lse(device),
      middle(device),
      statistics2(device),
      wide(device),
      normed1(device),
      normed2(device),
      qk(device),
      activated(device),
      experts(device) {}

Workspace::Workspace(runtime::Device& device)
    : normed(device),
      qk(device),
      activated(device),
      dnormed(device),
      dactivated(device),
      dwide(device),
      dattention(device),
      dqkv(device),
      dhead(device),
      experts(device) {}

namespace {

std::string layer_prefix(const Config& config, int64_t layer) {
  return config.family == Family::llama ? str("model.layers.", layer, ".")
                                        : str("transformer.h.", layer, ".");
}

const char* norm_name(const Config& config, bool first) {
  if (config.family == Family::gpt2) return first ? "ln_1" : "ln_2";
  return first ? "input_layernorm" : "post_attention_layernorm";
}

/// One map of a layer: in Llama's files under `names`, in GPT-2's under `conv1d`.
Linear layer_map(const ParameterSet& parameters, const Config& config, int64_t layer,
                 std::vector<std::string> names, const std::string& conv1d) {
  const std::string prefix = layer_prefix(config, layer);
  if (config.family == Family::gpt2) return Linear::conv1d(parameters, prefix + conv1d);
  for (auto& name : names) name = prefix + name + "_proj";
  return Linear::linear(parameters, names);
}

}  // namespace

Block::Block(const ParameterSet& parameters, const Config& config, int64_t layer)
    : dim_(config.dim),
      hidden_dim_(config.hidden_dim),
      gated_(config.family == Family::llama),
      norm1_(parameters, layer_prefix(config, layer) + norm_name(config, true), config.norm_epsilon),
      norm2_(parameters, layer_prefix(config, layer) + norm_name(config, false), config.norm_epsilon),
      qkv_(
          layer_map(parameters, config, layer, {"self_attn.q", "self_attn.k", "self_attn.v"}, "attn.c_attn")),
      out_(layer_map(parameters, config, layer, {"self_attn.o"}, "attn.c_proj")) {
  shape_.heads = config.heads;
  shape_.kv_heads = config.kv_heads;
  shape_.head_dim = config.head_dim;
  shape_.scale = 1 / std::sqrt(static_cast<double>(config.head_dim));
  if (config.qk_norm) {
    head_norm_.emplace(parameters, layer_prefix(config, layer) + "self_attn.", config);
  }
  if (config.experts > 0) {
    experts_.emplace(parameters, layer_prefix(config, layer), config);
  } else {
    wide_ = layer_map(parameters, config, layer, {"mlp.gate", "mlp.up"}, "mlp.c_fc");
    down_ = layer_map(parameters, config, layer, {"mlp.down"}, "mlp.c_proj");
  }
}

View Block::normed(const Run& run, const Rows& rows, runtime::Scratch& kept) const {
  return (run.keep_all ? kept : run.work.normed).get(run.device.compute(), rows.count, dim_);
}

View Block::activated(const Run& run, const Rows& rows, Activations& kept) const {
  auto& place = run.keep_all ? kept.activated : run.work.activated;
  return place.get(run.device.compute(), rows.count, hidden_dim_);
}

View Block::qkv(const Run& run, const Rows& rows, Activations& kept) const {
  return kept.qkv.get(run.device.compute(), rows.count, qkv_width());
}

/// As attention takes them.
View Block::queries_and_keys(const Run& run, const Rows& rows, Activations& kept) const {
  const int64_t width = query_width() + key_width();
  if (!head_norm_) return qkv(run, rows, kept).col_range(0, width);
  return (run.keep_all ? kept.qk : run.work.qk).get(run.device.compute(), rows.count, width);
}

/// q and k stand side by side and turn together.
void Block::rotate(const Run& run, const Rows& rows, View qk, bool inverse) const {
  if (!run.inverse_frequency) return;
  run.device.backend().rotary(qk, rows.positions, run.inverse_frequency, shape_.heads + shape_.kv_heads,
                              shape_.head_dim, inverse);
}

/// With QK-norm: turned queries and keys from those that the projection gave, which stay.
void Block::norm_heads(const Run& run, const Rows& rows, Activations& kept) const {
  const View qk = queries_and_keys(run, rows, kept);
  head_norm_->forward(run.device.backend(), run.weights, qk,
                      kept.head_statistics.get(run.device.real(), shape_.heads + shape_.kv_heads, rows.count),
                      qkv(run, rows, kept).col_range(0, qk.cols));
  rotate(run, rows, qk, false);
}

void Block::project(const Run& run, const Rows& rows, ConstView input, Activations& kept) const {
  const auto real = run.device.real();
  auto& backend = run.device.backend();
  const View norm = normed(run, rows, kept.normed1);
  norm1_.forward(backend, run.weights, norm, kept.statistics1.get(real, rows.count, norm1_.statistics()),
                 input);
  qkv_.forward(backend, run.weights, qkv(run, rows, kept), norm);
  head_norm_ ? norm_heads(run, rows, kept) : rotate(run, rows, queries_and_keys(run, rows, kept), false);
}

ExpertRun Block::expert_run(const Run& run, const Rows& rows, Activations& kept) const {
  return {run.device, run.weights, kept.experts, run.work.experts, run.keep_all, rows.count};
}

void Block::forward_dense(const Run& run, const Rows& rows, Activations& kept, View out, ConstView norm,
                          ConstView middle) const {
  auto& backend = run.device.backend();
  const View wide = kept.wide.get(run.device.compute(), rows.count, wide_width());
  if (!out && !run.keep_all) return wide_->forward(backend, run.weights, wide, norm);
  const View activation = activated(run, rows, kept);
  wide_->forward(backend, run.weights, wide, norm,
                 gated_ ? runtime::Activation::swiglu : runtime::Activation::gelu, activation);
  if (out) down_->forward(backend, run.weights, out, activation, middle);
}

/// From the attention's output to the layer's.
void Block::finish(const Run& run, const Rows& rows, ConstView input, Activations& kept, View out) const {
  const auto real = run.device.real(), compute = run.device.compute();
  auto& backend = run.device.backend();
  const View middle = kept.middle.get(real, rows.count, dim_);
  out_.forward(backend, run.weights, middle, kept.attention.get(compute, rows.count, query_width()), input);
  const View norm = normed(run, rows, kept.normed2);
  norm2_.forward(backend, run.weights, norm, kept.statistics2.get(real, rows.count, norm2_.statistics()),
                 middle);
  if (!experts_) return forward_dense(run, rows, kept, out, norm, middle);
  experts_->forward(expert_run(run, rows, kept), out, norm, middle, run.counts);
}

void Block::forward(const Run& run, const Rows& rows, ConstView input, Activations& kept, View out) const {
  project(run, rows, input, kept);
  const auto real = run.device.real(), compute = run.device.compute();
  const View qk = queries_and_keys(run, rows, kept);
  run.device.backend().attention(
      kept.attention.get(compute, rows.count, query_width()), kept.lse.get(real, rows.count, shape_.heads),
      qk.col_range(0, query_width()), qk.col_range(query_width(), key_width()),
      qkv(run, rows, kept).col_range(query_width() + key_width(), key_width()), rows.document_starts, shape_);
  finish(run, rows, input, kept, out);
}

void Block::forward_cached(const Run& run, const Rows& rows, ConstView input, Activations& kept, View out,
                           View cache_keys, View cache_values, int64_t capacity) const {
  project(run, rows, input, kept);
  const auto compute = run.device.compute();
  auto& backend = run.device.backend();
  const View qk = queries_and_keys(run, rows, kept);
  backend.scatter_rows(cache_keys, qk.col_range(query_width(), key_width()), rows.slot);
  backend.scatter_rows(cache_values, qkv(run, rows, kept).col_range(query_width() + key_width(), key_width()),
                       rows.slot);
  backend.cached_attention(kept.attention.get(compute, rows.count, query_width()),
                           qk.col_range(0, query_width()), cache_keys, cache_values, rows.sequence,
                           rows.length, capacity, shape_);
  finish(run, rows, input, kept, out);
}

void Block::backward_dense(const Run& run, const Rows& rows, Activations& kept, View dnormed, ConstView dout,
                           ConstView norm) const {
  const auto compute = run.device.compute();
  auto& backend = run.device.backend();
  const View wide = kept.wide.get(compute, rows.count, wide_width());
  const View activation = activated(run, rows, kept);
  if (!run.keep_all) gated_ ? backend.swiglu(activation, wide) : backend.gelu(activation, wide);
  const View dactivated = run.work.dactivated.get(compute, rows.count, hidden_dim_);
  down_->backward(backend, run.weights, dactivated, dout, activation);
  const View dwide = run.work.dwide.get(compute, rows.count, wide_width());
  gated_ ? backend.swiglu_backward(dwide, dactivated, wide) : backend.gelu_backward(dwide, dactivated, wide);
  wide_->backward(backend, run.weights, dnormed, dwide, norm);
}

void Block::backward_mlp(const Run& run, const Rows& rows, Activations& kept, View dx) const {
  const auto real = run.device.real(), compute = run.device.compute();
  auto& backend = run.device.backend();
  const View middle = kept.middle.get(real, rows.count, dim_);
  const View statistics = kept.statistics2.get(real, rows.count, norm2_.statistics());
  const View norm = normed(run, rows, kept.normed2);
  if (!run.keep_all) norm2_.forward(backend, run.weights, norm, statistics, middle);
  const View dnormed = run.work.dnormed.get(compute, rows.count, dim_);
  if (experts_) {
    experts_->backward(expert_run(run, rows, kept), dnormed, dx, norm, run.losses);
  } else {
    backward_dense(run, rows, kept, dnormed, dx, norm);
  }
  norm2_.backward(backend, run.weights, dx, true, dnormed, middle, statistics);
}

void Block::backward_attention(const Run& run, const Rows& rows, ConstView input, Activations& kept,
                               View dx) const {
  const auto real = run.device.real(), compute = run.device.compute();
  auto& backend = run.device.backend();
  const View statistics = kept.statistics1.get(real, rows.count, norm1_.statistics());
  const View raw = qkv(run, rows, kept);
  const View attention = kept.attention.get(compute, rows.count, query_width());
  const View dattention = run.work.dattention.get(compute, rows.count, query_width());
  out_.backward(backend, run.weights, dattention, dx, attention);
  if (head_norm_ && !run.keep_all) norm_heads(run, rows, kept);
  const View qk = queries_and_keys(run, rows, kept);
  const View dqkv = run.work.dqkv.get(compute, rows.count, qkv_width());
  const int64_t key = query_width(), value = key + key_width();
  backend.attention_backward(dqkv.col_range(0, key), dqkv.col_range(key, key_width()),
                             dqkv.col_range(value, key_width()), dattention, qk.col_range(0, key),
                             qk.col_range(key, key_width()), raw.col_range(value, key_width()), attention,
                             kept.lse.get(real, rows.count, shape_.heads), rows.document_starts, shape_);
  rotate(run, rows, dqkv.col_range(0, value), true);
  if (head_norm_) {
    head_norm_->backward(backend, run.weights, dqkv.col_range(0, value),
                         run.work.dhead.get(real, 1, shape_.head_dim), raw.col_range(0, value),
                         kept.head_statistics.get(real, shape_.heads + shape_.kv_heads, rows.count));
  }
  const View norm = normed(run, rows, kept.normed1);
  if (!run.keep_all) norm1_.forward(backend, run.weights, norm, statistics, input);
  const View dnormed = run.work.dnormed.get(compute, rows.count, dim_);
  qkv_.backward(backend, run.weights, dnormed, dqkv, norm);
  norm1_.backward(backend, run.weights, dx, true, dnormed, input, statistics);
}

void Block::backward(const Run& run, const Rows& rows, ConstView input, Activations& kept, View dx) const {
  backward_mlp(run, rows, kept, dx);
  backward_attention(run, rows, input, kept, dx);
}

}  // namespace gristmill::model

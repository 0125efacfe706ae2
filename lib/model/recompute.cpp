// One list says what passes take: its sum is what a run announces, its parts are what is allocated.

#include "model/recompute.hpp"

#include <algorithm>
#include <vector>

#include "model/pass.hpp"

namespace gristmill::model {

using runtime::DType;
using runtime::Scratch;

namespace {

/// What one member of Activations or Workspace takes: elements a token, or in all.
template <class Owner>
struct Need {
  Scratch Owner::*member;
  DType type;
  int64_t cols;
  bool a_token = true;
};

/// The shape's widths and the two types.
struct Sizes {
  Sizes(const Config& config_, DType real_, DType compute_)
      : config(config_),
        real(real_),
        compute(compute_),
        query(config.heads * config.head_dim),
        key(config.kv_heads * config.head_dim),
        wide(config.family == Family::llama ? 2 * config.hidden_dim : config.hidden_dim),
        statistics(config.family == Family::llama ? 1 : 2) {}
  const Config& config;
  DType real, compute;
  int64_t query, key, wide, statistics;
};

std::vector<Need<Activations>> layer_needs(const Sizes& sizes, bool keep_all) {
  const Config& config = sizes.config;
  std::vector<Need<Activations>> needs = {{&Activations::statistics1, sizes.real, sizes.statistics},
                                          {&Activations::qkv, sizes.compute, sizes.query + 2 * sizes.key},
                                          {&Activations::attention, sizes.compute, sizes.query},
                                          {&Activations::lse, sizes.real, config.heads},
                                          {&Activations::middle, sizes.real, config.dim},
                                          {&Activations::statistics2, sizes.real, sizes.statistics}};
  const bool dense = config.experts == 0;
  if (dense) needs.push_back({&Activations::wide, sizes.compute, sizes.wide});
  if (config.qk_norm) {
    needs.push_back({&Activations::head_statistics, sizes.real, config.heads + config.kv_heads});
  }
  if (!keep_all) return needs;
  needs.push_back({&Activations::normed1, sizes.compute, config.dim});
  needs.push_back({&Activations::normed2, sizes.compute, config.dim});
  if (dense) needs.push_back({&Activations::activated, sizes.compute, config.hidden_dim});
  if (config.qk_norm) needs.push_back({&Activations::qk, sizes.compute, sizes.query + sizes.key});
  return needs;
}

/// Of a forward pass whose layers do not keep all.
std::vector<Need<Workspace>> forward_needs(const Sizes& sizes) {
  const Config& config = sizes.config;
  std::vector<Need<Workspace>> needs = {{&Workspace::normed, sizes.compute, config.dim}};
  if (config.experts == 0) needs.push_back({&Workspace::activated, sizes.compute, config.hidden_dim});
  if (config.qk_norm) needs.push_back({&Workspace::qk, sizes.compute, sizes.query + sizes.key});
  return needs;
}

std::vector<Need<Workspace>> backward_needs(const Sizes& sizes) {
  const Config& config = sizes.config;
  std::vector<Need<Workspace>> needs = {{&Workspace::dnormed, sizes.compute, config.dim},
                                        {&Workspace::dattention, sizes.compute, sizes.query},
                                        {&Workspace::dqkv, sizes.compute, sizes.query + 2 * sizes.key}};
  if (config.experts == 0) {
    needs.push_back({&Workspace::dactivated, sizes.compute, config.hidden_dim});
    needs.push_back({&Workspace::dwide, sizes.compute, sizes.wide});
  }
  if (config.qk_norm) needs.push_back({&Workspace::dhead, sizes.real, config.head_dim, false});
  return needs;
}

/// Of a layer's experts, which work on every token as often as it has experts.
std::vector<Need<ExpertActivations>> expert_needs(const Sizes& sizes, bool keep_all) {
  const Config& config = sizes.config;
  const int64_t rows = config.experts_per_token;
  std::vector<Need<ExpertActivations>> needs = {
      {&ExpertActivations::probabilities, sizes.real, config.experts},
      {&ExpertActivations::lse, sizes.real, 1},
      {&ExpertActivations::chosen, DType::i32, rows},
      {&ExpertActivations::weights, sizes.real, rows},
      {&ExpertActivations::places, DType::i32, rows},
      {&ExpertActivations::offsets, DType::i32, config.experts + 1, false},
      {&ExpertActivations::tokens, DType::i32, rows},
      {&ExpertActivations::wide, sizes.compute, rows * sizes.wide},
      {&ExpertActivations::outputs, sizes.compute, rows * config.dim}};
  if (keep_all) needs.push_back({&ExpertActivations::activated, sizes.compute, rows * config.hidden_dim});
  return needs;
}

std::vector<Need<ExpertWorkspace>> expert_backward_needs(const Sizes& sizes) {
  const Config& config = sizes.config;
  const int64_t rows = config.experts_per_token;
  return {{&ExpertWorkspace::drows, sizes.compute, rows * config.dim},
          {&ExpertWorkspace::dactivated, sizes.compute, rows * config.hidden_dim},
          {&ExpertWorkspace::dwide, sizes.compute, rows * sizes.wide},
          {&ExpertWorkspace::dweights, sizes.real, rows},
          {&ExpertWorkspace::dlogits, sizes.real, config.experts}};
}

template <class Owner>
void add_needs(runtime::ArenaParts& parts, Owner* owner, const std::vector<Need<Owner>>& needs,
               int64_t tokens) {
  for (const auto& need : needs) {
    parts.add(owner, need.member, need.type, need.a_token ? need.cols * tokens : need.cols);
  }
}

/// One kind of pass, with the inputs and what is kept of so many layers in memory.
void add_pass(runtime::ArenaParts& parts, Pass* pass, const Sizes& sizes, int64_t tokens, int64_t inputs,
              int64_t layers, bool keep_all) {
  if (tokens == 0) return;
  for (const auto member : {&Pass::ids, &Pass::positions}) parts.add(pass, member, DType::i32, tokens);
  parts.add(pass, &Pass::document_starts, DType::i32, tokens + 1);
  for (int64_t i = 0; i < inputs; ++i) {
    parts.add(pass == nullptr ? nullptr : &pass->input(i), sizes.real, tokens * sizes.config.dim);
  }
  for (int64_t i = 0; i < layers; ++i) {
    Activations* const layer = pass == nullptr ? nullptr : &pass->activations(i);
    add_needs(parts, layer, layer_needs(sizes, keep_all), tokens);
    if (sizes.config.experts == 0) continue;
    add_needs(parts, layer == nullptr ? nullptr : &layer->experts, expert_needs(sizes, keep_all), tokens);
  }
  parts.add(pass, &Pass::last, sizes.real, tokens * sizes.config.dim);
  parts.add(pass, &Pass::statistics, sizes.real, tokens * sizes.statistics);
  parts.add(pass, &Pass::hidden, sizes.real, tokens * sizes.config.dim);
}

/// What the experts of all layers share: `forward` tokens of passes that do not keep all, and the routers'
/// counts.
void add_experts(runtime::ArenaParts& parts, PassMemory* memory, const Sizes& sizes, const PassExtent& extent,
                 int64_t forward) {
  const Config& config = sizes.config;
  ExpertWorkspace* const work = memory == nullptr ? nullptr : &memory->work.experts;
  const int64_t rows = config.experts_per_token, most = std::max(extent.passing, extent.kept);
  parts.add(work, &ExpertWorkspace::inputs, sizes.compute, most * rows * config.dim);
  if (forward > 0)
    parts.add(work, &ExpertWorkspace::activated, sizes.compute, forward * rows * config.hidden_dim);
  if (extent.kept == 0) return;
  add_needs(parts, work, expert_backward_needs(sizes), extent.kept);
  RouterTally* const router = memory == nullptr ? nullptr : &memory->router;
  parts.add(router, &RouterTally::load, sizes.real, config.layers * config.experts);
  parts.add(router, &RouterTally::mass, sizes.real, config.layers * config.experts);
  parts.add(router, &RouterTally::squared_lse, DType::f64, config.layers);
  parts.add(router, &RouterTally::sum, sizes.real, config.experts);
}

}  // namespace

runtime::ArenaParts pass_parts(const Config& config, const PassExtent& extent, DType real, DType compute,
                               Recompute recompute, PassMemory* memory) {
  const Sizes sizes(config, real, compute);
  const bool keep_all = recompute != Recompute::norms;
  const auto of = [&](auto member) { return memory == nullptr ? nullptr : &(memory->*member); };
  runtime::ArenaParts parts;
  add_pass(parts, of(&PassMemory::kept), sizes, extent.kept, config.layers,
           recompute == Recompute::block ? 1 : config.layers, keep_all);
  add_pass(parts, of(&PassMemory::passing), sizes, extent.passing, std::min<int64_t>(2, config.layers), 1,
           false);
  Workspace* const work = of(&PassMemory::work);
  const int64_t forward = std::max(extent.passing, keep_all ? 0 : extent.kept);
  if (forward > 0) add_needs(parts, work, forward_needs(sizes), forward);
  if (config.experts > 0) add_experts(parts, memory, sizes, extent, forward);
  if (extent.kept == 0) return parts;
  add_needs(parts, work, backward_needs(sizes), extent.kept);
  if (config.head == Head::language && config.tied) {
    parts.add(memory, &PassMemory::embedding_gradient, real, config.vocab_size * config.dim);
  }
  return parts;
}

int64_t activation_bytes(const Config& config, const PassExtent& extent, DType real, DType compute,
                         Recompute recompute) {
  return pass_parts(config, extent, real, compute, recompute, nullptr).bytes();
}

Pass::Pass(runtime::Device& device, int64_t input_count, int64_t layer_count)
    : ids(device),
      positions(device),
      document_starts(device),
      sequence(device),
      slot(device),
      length(device),
      last(device),
      statistics(device),
      hidden(device) {
  for (int64_t i = 0; i < input_count; ++i) inputs.emplace_back(device);
  for (int64_t i = 0; i < layer_count; ++i) layers.emplace_back(device);
}

PassMemory::PassMemory(runtime::Device& device, const Config& config, Recompute recompute)
    : kept(device, config.layers, recompute == Recompute::block ? 1 : config.layers),
      passing(device, 2, 1),
      work(device),
      router(device),
      embedding_gradient(device) {}

PassMemory reserve_passes(runtime::Device& device, const Config& config, Recompute recompute,
                          const PassExtent& extent) {
  PassMemory memory(device, config, recompute);
  memory.arena =
      pass_parts(config, extent, device.real(), device.compute(), recompute, &memory).allocate(device);
  return memory;
}

}  // namespace gristmill::model

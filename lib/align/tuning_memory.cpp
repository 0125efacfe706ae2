#include "align/tuning_memory.hpp"

#include <algorithm>

#include "decode/generator.hpp"

namespace gristmill::align {

namespace {

template <class Items, class Size>
std::vector<int64_t> sizes_by(const Items& items, const Size& size) {
  std::vector<int64_t> sizes;
  for (const auto& item : items) sizes.push_back(static_cast<int64_t>(size(item)));
  return sizes;
}

int64_t pass_bytes(const model::Config& config, const PassRows& rows, runtime::DType real) {
  return config.head == model::Head::language ? LanguagePass::bytes(config, rows, real)
                                              : ScalarPass::bytes(config, rows, real);
}

train::MemoryPlan plan_scorer(const model::Config& config, int64_t tokens,
                              const train::TrainOptions& options) {
  auto plan = train::memory_options(options);
  plan.extent.passing = tokens;
  plan.objective_bytes = pass_bytes(config, {tokens, tokens, false}, plan.real);
  return train::plan_frozen(config, plan);
}

}  // namespace

std::vector<int64_t> sizes_of(const std::vector<Sequence>& examples) {
  return sizes_by(examples, [](const Sequence& example) { return example.ids.size(); });
}

std::vector<int64_t> sizes_of(const std::vector<PairExample>& pairs) {
  return sizes_by(pairs, [](const PairExample& pair) { return pair.tokens(); });
}

model::PassExtent tuning_extent(const std::vector<int64_t>& sizes, int64_t batch,
                                const std::vector<int64_t>& held_out_sizes, int64_t micro_batch_tokens) {
  return {most_tokens(sizes, batch, micro_batch_tokens),
          most_tokens(held_out_sizes, static_cast<int64_t>(held_out_sizes.size()), micro_batch_tokens)};
}

PassRows pass_rows(const model::PassExtent& extent) {
  const int64_t most = std::max(extent.kept, extent.passing);
  return {most, most, true};
}

train::MemoryPlan plan_tuning(const model::Config& config, const model::PassExtent& extent,
                              const train::TrainOptions& options) {
  auto plan = train::memory_options(options);
  plan.extent = extent;
  plan.objective_bytes = pass_bytes(config, pass_rows(extent), plan.real);
  return train::plan_memory(config, plan);
}

train::MemoryPlan plan_reference(const model::Config& reference, const model::Config& policy, int64_t tokens,
                                 const train::TrainOptions& options) {
  train::MemoryPlan plan;
  plan.add("reference", plan_scorer(reference, tokens, options));
  const auto idle = plan_scorer(policy, 0, options).parts.front();
  plan.parts.push_back({"policy: " + idle.name, idle.bytes});
  return plan;
}

PpoExtent ppo_extent(const std::vector<PromptExample>& prompts, const PpoOptions& options) {
  int64_t longest = 0;
  for (const auto& prompt : prompts) longest = std::max(longest, static_cast<int64_t>(prompt.ids.size()));
  const int64_t batch = options.rollout_batch;
  PpoExtent extent;
  extent.longest = longest + options.max_response_tokens;
  extent.part = std::max(extent.longest, std::min(options.micro_batch_tokens, batch * extent.longest));
  extent.rows = std::max(batch, std::min(decode::kPrefillRows, batch * longest));
  return extent;
}

train::MemoryPlan plan_ppo(const model::Config& policy, const model::Config& reward,
                           const std::vector<PromptExample>& prompts, const PpoOptions& ppo,
                           const train::TrainOptions& options) {
  const PpoExtent extent = ppo_extent(prompts, ppo);
  auto sampled = train::memory_options(options);
  sampled.extent = {extent.part, std::max(extent.part, extent.rows)};
  sampled.objective_bytes = pass_bytes(policy, {extent.part, extent.part, true}, sampled.real);
  sampled.cached_sequences = ppo.rollout_batch;
  sampled.cached_positions = extent.longest;
  train::MemoryPlan plan;
  plan.add("policy", train::plan_memory(policy, sampled));
  plan.add("critic", plan_tuning(reward, {extent.part, extent.part}, options));
  plan.add("reference", plan_scorer(policy, extent.part, options));
  auto judge = train::memory_options(options);  // its rewards are read at a row a response
  judge.extent.passing = extent.part;
  plan.add("reward model", train::plan_frozen(reward, judge));
  return plan;
}

}  // namespace gristmill::align

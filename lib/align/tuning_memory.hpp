#pragma once

// What the tuning tools will hold in memory, for the plan that each prints before it starts (train's
// memory_plan.hpp).

#include <cstdint>
#include <vector>

#include "align/examples.hpp"
#include "align/ppo.hpp"
#include "align/response_batch.hpp"
#include "model/config.hpp"
#include "model/recompute.hpp"
#include "train/memory_plan.hpp"
#include "train/trainer.hpp"

namespace gristmill::align {

/// The most tokens of a micro-batch, in training on `batch` of the items and in scoring all held-out ones.
model::PassExtent tuning_extent(const std::vector<int64_t>& sizes, int64_t batch,
                                const std::vector<int64_t>& held_out_sizes, int64_t micro_batch_tokens);
std::vector<int64_t> sizes_of(const std::vector<Sequence>& examples);
std::vector<int64_t> sizes_of(const std::vector<PairExample>& pairs);
/// For any `options` of sft, reward-train and dpo.
template <class Examples, class Options>
model::PassExtent tuning_extent(const Examples& examples, const Examples& held_out, const Options& options) {
  return tuning_extent(sizes_of(examples), options.batch_size, sizes_of(held_out),
                       options.micro_batch_tokens);
}
/// A pass over as many rows as there are tokens.
PassRows pass_rows(const model::PassExtent& extent);

/// One model that is trained, with its LanguagePass or ScalarPass.
train::MemoryPlan plan_tuning(const model::Config& config, const model::PassExtent& extent,
                              const train::TrainOptions& options);
/// A frozen model that scores, alone with the weights of another one.
train::MemoryPlan plan_reference(const model::Config& reference, const model::Config& policy, int64_t tokens,
                                 const train::TrainOptions& options);
/// Policy and critic that are trained, a reference and a reward model that are not, and the keys and values
/// of the responses while they are sampled.
train::MemoryPlan plan_ppo(const model::Config& policy, const model::Config& reward,
                           const std::vector<PromptExample>& prompts, const PpoOptions& ppo,
                           const train::TrainOptions& options);

/// What PPO's models see at most.
struct PpoExtent {
  int64_t longest = 0;  ///< tokens of a prompt and its response
  int64_t part = 0;     ///< tokens of a packed part of the rollouts
  int64_t rows = 0;     ///< of one forward pass of the sampling
};
PpoExtent ppo_extent(const std::vector<PromptExample>& prompts, const PpoOptions& options);

}  // namespace gristmill::align

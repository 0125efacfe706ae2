#include "align/rollout.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace gristmill::align {

int64_t RolloutSet::response_tokens() const {
  int64_t count = 0;
  for (const auto& rollout : rollouts) count += static_cast<int64_t>(rollout.sampled.size());
  return count;
}

std::vector<Rollout> sample_responses(model::Transformer& policy,
                                      const std::vector<const PromptExample*>& prompts,
                                      const decode::GenerateOptions& options, uint64_t first_stream) {
  std::vector<decode::Request> requests;
  for (size_t i = 0; i < prompts.size(); ++i) requests.push_back({prompts[i]->ids, first_stream + i});
  const auto completions = decode::generate(policy, requests, options);
  std::vector<Rollout> rollouts(prompts.size());
  for (size_t i = 0; i < prompts.size(); ++i) {
    auto& rollout = rollouts[i];
    rollout.sequence.ids = prompts[i]->ids;
    rollout.sequence.mask.assign(prompts[i]->ids.size(), 0);
    rollout.sequence.ids.insert(rollout.sequence.ids.end(), completions[i].ids.begin(),
                                completions[i].ids.end());
    rollout.sequence.mask.resize(rollout.sequence.ids.size(), 1);
    rollout.ended = completions[i].finish == decode::Finish::stop;
    rollout.sampled = completions[i].log_probs;
  }
  return rollouts;
}

std::vector<RolloutPart> pack_rollouts(const std::vector<Rollout>& rollouts, int64_t tokens) {
  std::vector<int64_t> sizes;
  for (const auto& rollout : rollouts) sizes.push_back(static_cast<int64_t>(rollout.sequence.ids.size()));
  std::vector<RolloutPart> parts;
  for (const auto& [first, last] : split_by_size(sizes, tokens)) {
    RolloutPart part;
    part.first = first;
    for (size_t i = first; i < last; ++i) part.batch.add(rollouts[i].sequence);
    parts.push_back(std::move(part));
  }
  return parts;
}

void estimate_advantages(std::vector<Rollout>& rollouts, const RewardOptions& options, double gamma,
                         double lambda) {
  std::vector<double> all;
  for (auto& rollout : rollouts) {
    const auto rewards = token_rewards(rollout.old, rollout.reference, rollout.score, rollout.ended, options);
    auto estimate = generalised_advantages(rewards, rollout.values, gamma, lambda);
    rollout.returns = std::move(estimate.returns);  // before whitening: targets keep the rewards' scale
    all.insert(all.end(), estimate.advantages.begin(), estimate.advantages.end());
  }
  whiten(all);
  auto at = all.begin();
  for (auto& rollout : rollouts) {
    const auto end = at + static_cast<std::ptrdiff_t>(rollout.returns.size());
    rollout.advantages.assign(at, end);
    at = end;
  }
}

}  // namespace gristmill::align

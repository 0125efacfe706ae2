#pragma once

// What PPO learns from: responses sampled from the policy as it is, with everything about their tokens that
// the updates need. Sampling is pure softmax at a temperature (no top-k, no top-p), so that the distribution
// that is scored is the one that was sampled.

#include <cstdint>
#include <vector>

#include "align/examples.hpp"
#include "align/policy_gradient.hpp"
#include "decode/generator.hpp"

namespace gristmill::align {

/// One response's tokens; all vectors have the response's length.
struct Rollout {
  Sequence sequence;            ///< prompt and response; the response is masked as targets
  bool ended = false;           ///< its last token is the end of turn
  double score = 0;             ///< of the reward model
  std::vector<double> sampled;  ///< log-probabilities as the sampler saw them
  std::vector<double> old;      ///< from the training forward: the denominators of the ratios
  std::vector<double> reference;
  std::vector<double> values;  ///< critic's, in front of each token
  std::vector<double> advantages, returns;
};

/// Rollouts packed for the model once; the updates reuse the same packing, so that their first pass repeats
/// the old one bit for bit.
struct RolloutPart {
  ResponseBatch batch;
  size_t first = 0;  ///< rollouts [first, first + batch.sequences())
};

struct RolloutSet {
  std::vector<Rollout> rollouts;
  std::vector<RolloutPart> parts;
  double entropy = 0;  ///< mean over tokens, nats
  int64_t response_tokens() const;
};

/// Continues the prompts; request i draws from stream `first_stream + i`.
std::vector<Rollout> sample_responses(model::Transformer& policy,
                                      const std::vector<const PromptExample*>& prompts,
                                      const decode::GenerateOptions& options, uint64_t first_stream);

/// Packs rollouts in their order into parts of at most `tokens` tokens.
std::vector<RolloutPart> pack_rollouts(const std::vector<Rollout>& rollouts, int64_t tokens);

/// Fills advantages and returns from scores, log-probabilities and values; advantages are whitened over all
/// tokens.
void estimate_advantages(std::vector<Rollout>& rollouts, const RewardOptions& rewards, double gamma,
                         double lambda);

}  // namespace gristmill::align

#include "align/policy_gradient.hpp"

#include <algorithm>
#include <cmath>

#include "base/error.hpp"

namespace gristmill::align {

std::vector<double> token_rewards(std::span<const double> log_probs, std::span<const double> reference,
                                  double score, bool ended, const RewardOptions& options) {
  if (log_probs.size() != reference.size() || log_probs.empty()) {
    fail(Kind::internal,
         "token rewards need as many reference as policy log-probabilities, and at least one");
  }
  std::vector<double> rewards(log_probs.size());
  for (size_t t = 0; t < rewards.size(); ++t) {
    rewards[t] = -options.kl_coefficient * kl_k1(log_probs[t], reference[t]);
  }
  rewards.back() += ended ? score : score - options.missing_end_penalty;
  return rewards;
}

Advantages generalised_advantages(std::span<const double> rewards, std::span<const double> values,
                                  double gamma, double lambda) {
  if (rewards.size() != values.size()) fail(Kind::internal, "advantages need one value a reward");
  Advantages out{std::vector<double>(rewards.size()), std::vector<double>(rewards.size())};
  double next_value = 0, next_advantage = 0;
  for (size_t t = rewards.size(); t-- > 0;) {
    const double delta = rewards[t] + gamma * next_value - values[t];
    next_advantage = delta + gamma * lambda * next_advantage;
    next_value = values[t];
    out.advantages[t] = next_advantage;
    out.returns[t] = next_advantage + values[t];
  }
  return out;
}

void whiten(std::vector<double>& values, bool keep_mean) {
  if (values.empty()) return;
  const auto count = static_cast<double>(values.size());
  double mean = 0;
  for (const double value : values) mean += value;
  mean /= count;
  double variance = 0;
  for (const double value : values) variance += (value - mean) * (value - mean);
  const double scale = values.size() < 2 ? 1 : 1 / std::sqrt(variance / (count - 1) + 1e-8);
  for (double& value : values) value = (value - mean) * scale + (keep_mean ? mean : 0);
}

PolicyTerm policy_term(double log_prob, double old_log_prob, double advantage, double clip) {
  PolicyTerm term;
  term.ratio = std::exp(log_prob - old_log_prob);
  const double free = -advantage * term.ratio;
  const double bounded = -advantage * std::clamp(term.ratio, 1 - clip, 1 + clip);
  term.clipped = bounded > free;
  term.loss = std::max(free, bounded);
  term.d_log_prob = term.clipped ? 0 : free;
  return term;
}

ValueTerm value_term(double value, double old_value, double target, double clip) {
  ValueTerm term;
  const double bounded = std::clamp(value, old_value - clip, old_value + clip);
  const double free_miss = value - target, bounded_miss = bounded - target;
  term.clipped = bounded_miss * bounded_miss > free_miss * free_miss;
  const double miss = term.clipped ? bounded_miss : free_miss;
  term.loss = 0.5 * miss * miss;
  // Where the clipped branch wins, V lies outside the interval and the bound does not move with it.
  term.d_value = term.clipped ? 0 : miss;
  return term;
}

double kl_k1(double log_prob, double reference) { return log_prob - reference; }
double kl_k2(double log_prob, double reference) {
  return 0.5 * (log_prob - reference) * (log_prob - reference);
}
double kl_k3(double log_prob, double reference) {
  return std::expm1(reference - log_prob) - (reference - log_prob);
}

void AdaptiveKl::update(double kl, int64_t episodes) {
  if (!(target_ > 0)) return;
  const double error = std::clamp(kl / target_ - 1, -0.2, 0.2);
  coefficient_ *= 1 + error * static_cast<double>(episodes) / horizon_;
}

}  // namespace gristmill::align

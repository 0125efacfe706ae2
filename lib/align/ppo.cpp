#include "align/ppo.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "align/tuning_memory.hpp"
#include "base/error.hpp"
#include "base/log.hpp"
#include "base/rng.hpp"
#include "decode/reward.hpp"

namespace gristmill::align {

void validate(const PpoOptions& options) {
  const auto positive = [](const char* name, double value) {
    if (!(value > 0)) fail(Kind::usage, name, " must be positive, not ", value);
  };
  // The bounds lie far above any use; they keep products of these numbers within 63 bits.
  const auto count = [&](const char* name, int64_t value, int64_t most) {
    positive(name, static_cast<double>(value));
    if (value > most) fail(Kind::usage, name, " must not be above ", most, ", and is ", value);
  };
  count("--iterations", options.iterations, int64_t{1} << 30);
  count("--rollout-batch", options.rollout_batch, int64_t{1} << 16);
  count("--epochs", options.epochs, int64_t{1} << 16);
  count("--mini-batches", options.mini_batches, int64_t{1} << 16);
  count("--max-response-tokens", options.max_response_tokens, int64_t{1} << 28);
  positive("--temperature", options.temperature);
  positive("--clip", options.clip);
  positive("--value-clip", options.value_clip);
  if (!(options.kl_coef >= 0)) fail(Kind::usage, "--kl-coef must not be negative");
}

void put(const PpoOptions& options, Json& record) {
  record["iterations"] = options.iterations;
  record["rollout-batch"] = options.rollout_batch;
  record["epochs"] = options.epochs;
  record["mini-batches"] = options.mini_batches;
  record["micro-batch-tokens"] = options.micro_batch_tokens;
  record["max-response-tokens"] = options.max_response_tokens;
  record["temperature"] = options.temperature;
  record["clip"] = options.clip;
  record["value-clip"] = options.value_clip;
  record["gamma"] = options.gamma;
  record["lambda"] = options.lambda;
  record["kl-coef"] = options.kl_coef;
  record["target-kl"] = options.target_kl;
  record["missing-end-penalty"] = options.missing_end_penalty;
}

PpoObjective::PpoObjective(model::Transformer& policy, model::Transformer& critic,
                           model::Transformer& reference, model::Transformer& reward_model,
                           std::vector<PromptExample> prompts, uint32_t end_of_turn,
                           const PpoOptions& options)
    : policy_(&policy),
      critic_(&critic),
      reference_(&reference),
      reward_model_(&reward_model),
      prompts_(std::move(prompts)),
      end_of_turn_(end_of_turn),
      options_(options),
      sampler_(prompts_.size(), options.rollout_batch, std::max<int64_t>(1, options.iterations),
               options.seed),
      policy_pass_(policy),
      reference_pass_(reference),
      critic_pass_(critic),
      policy_flops_(policy.config()),
      critic_flops_(critic.config()),
      reference_flops_(reference.config()),
      reward_flops_(reward_model.config()),
      kl_(options.kl_coef, options.target_kl, options.kl_horizon) {
  align::validate(options);
}

void PpoObjective::reserve() {
  const PpoExtent extent = ppo_extent(prompts_, options_);
  const PassRows learned{extent.part, extent.part, true}, scored{extent.part, extent.part, false};
  policy_->reserve({extent.part, std::max(extent.part, extent.rows)});
  critic_->reserve({extent.part, extent.part});
  reference_->reserve({0, extent.part});
  reward_model_->reserve({0, extent.part});
  policy_pass_.reserve(learned);
  critic_pass_.reserve(learned);
  reference_pass_.reserve(scored);
}

double PpoObjective::learning_flops(const RolloutPart& part) const {
  const auto rows = static_cast<int64_t>(part.batch.rows.size());
  return 3 * (policy_flops_(part.batch.tokens, rows) + critic_flops_(part.batch.tokens, rows));
}

double PpoObjective::collecting_flops() const {
  double flops = 0;
  for (const auto& part : set_.parts) {
    const auto rows = static_cast<int64_t>(part.batch.rows.size());
    flops += 2 * policy_flops_(part.batch.tokens, rows);
    for (const auto* other : {&reference_flops_, &critic_flops_, &reward_flops_})
      flops += (*other)(part.batch.tokens, rows);
  }
  return flops;
}

void PpoObjective::check_sampler(const Rollout& rollout, int64_t iteration) const {
  for (size_t t = 0; t < rollout.old.size(); ++t) {
    const double gap = std::abs(rollout.old[t] - rollout.sampled[t]);
    if (gap <= options_.sampler_tolerance) continue;
    fail(Kind::internal, "PPO iteration ", iteration, ": sampler and trainer disagree by ", gap,
         " nats on a token's log-probability (at most ", options_.sampler_tolerance,
         " is accepted); the samples do not come from the policy that is trained");
  }
}

void PpoObjective::collect(int64_t iteration) {
  std::vector<const PromptExample*> prompts;
  for (const size_t item : sampler_.whole_batch(iteration)) prompts.push_back(&prompts_[item]);
  decode::GenerateOptions generate;
  generate.sampling.temperature = options_.temperature;
  generate.max_tokens = options_.max_response_tokens;
  generate.stop_ids = {end_of_turn_};
  generate.batch = options_.rollout_batch;
  generate.seed = options_.seed;
  set_.rollouts =
      sample_responses(*policy_, prompts, generate,
                       static_cast<uint64_t>(iteration) * static_cast<uint64_t>(options_.rollout_batch));
  set_.parts = pack_rollouts(set_.rollouts, options_.micro_batch_tokens);
  score(iteration);
  estimate_advantages(set_.rollouts, {kl_.coefficient(), options_.missing_end_penalty}, options_.gamma,
                      options_.lambda);
  finish_iteration_figures();
  watch_kl();
}

void PpoObjective::score(int64_t iteration) {
  const double scale = 1 / options_.temperature;
  double entropy = 0;
  std::vector<std::vector<uint32_t>> ids;
  for (const auto& part : set_.parts) {
    const auto old = policy_pass_.log_probs(part.batch, scale);
    for (const double value : policy_pass_.entropies()) entropy += value;
    const auto reference = reference_pass_.log_probs(part.batch, scale);
    const auto values = critic_pass_.values(part.batch.tokens, part.batch.rows);
    for (size_t s = 0; s < part.batch.sequences(); ++s) {
      auto& rollout = set_.rollouts[part.first + s];
      const auto first = static_cast<std::ptrdiff_t>(part.batch.starts[s]);
      const auto last = static_cast<std::ptrdiff_t>(part.batch.starts[s + 1]);
      rollout.old.assign(old.begin() + first, old.begin() + last);
      rollout.reference.assign(reference.begin() + first, reference.begin() + last);
      rollout.values.assign(values.begin() + first, values.begin() + last);
      check_sampler(rollout, iteration);
      ids.push_back(rollout.sequence.ids);
    }
  }
  const auto scores = decode::reward_of(*reward_model_, ids, options_.micro_batch_tokens);
  for (size_t i = 0; i < scores.size(); ++i) set_.rollouts[i].score = scores[i];
  set_.entropy = entropy / static_cast<double>(set_.response_tokens());
}

void PpoObjective::finish_iteration_figures() {
  double kl = 0, scores = 0;
  int64_t ended = 0;
  for (const auto& rollout : set_.rollouts) {
    for (size_t t = 0; t < rollout.old.size(); ++t) kl += kl_k1(rollout.old[t], rollout.reference[t]);
    scores += rollout.score;
    ended += rollout.ended ? 1 : 0;
  }
  const auto count = static_cast<double>(set_.rollouts.size());
  figures_ = {{"objective/kl", kl / count},
              {"objective/scores", scores / count},
              {"objective/rlhf_reward", (scores - kl_.coefficient() * kl) / count},
              {"objective/entropy", set_.entropy},
              {"objective/kl_coef", kl_.coefficient()},
              {"val/eos_rate", static_cast<double>(ended) / count},
              {"val/response_length", static_cast<double>(set_.response_tokens()) / count}};
  kl_.update(kl / count, static_cast<int64_t>(set_.rollouts.size()));
}

void PpoObjective::watch_kl() {
  // A sampled KL may be negative for a while; a clearly negative mean again and again means that the scored
  // distribution is not the sampled one.
  const double per_token = figures_["objective/kl"] / figures_["val/response_length"];
  negative_kl_ = per_token < -0.1 ? negative_kl_ + 1 : 0;
  if (negative_kl_ >= 5) {
    fail(Kind::internal,
         "PPO: the mean KL to the reference has been below -0.1 nats a token for 5 iterations; policy and "
         "reference do not score the same distribution");
  }
  if (figures_["val/eos_rate"] < 0.5) {
    log::debug("fewer than half of the responses end by themselves; consider a larger --missing-end-penalty");
  }
}

std::vector<const RolloutPart*> PpoObjective::parts_of(int64_t step) const {
  const auto epoch = static_cast<uint64_t>(step / options_.mini_batches);
  const int64_t mini_batch = step % options_.mini_batches;
  std::vector<size_t> order(set_.parts.size());
  std::iota(order.begin(), order.end(), size_t{0});
  Rng rng(options_.seed, stream_of(RandomStream::rollout, epoch));
  for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[rng.below(i)]);
  std::vector<const RolloutPart*> parts;
  for (size_t i = 0; i < order.size(); ++i) {
    if (static_cast<int64_t>(i) % options_.mini_batches == mini_batch) parts.push_back(&set_.parts[order[i]]);
  }
  return parts;
}

/// What the tokens of one optimizer step add up to.
struct PpoObjective::Sums {
  double policy_loss = 0, value_loss = 0, approx_kl = 0, worst_ratio = 0;
  int64_t tokens = 0, clipped = 0, value_clipped = 0;

  void add(const PolicyTerm& policy, const ValueTerm& value, double change) {
    policy_loss += policy.loss;
    value_loss += value.loss;
    approx_kl += 0.5 * change * change;
    worst_ratio = std::max(worst_ratio, std::abs(policy.ratio - 1));
    clipped += policy.clipped ? 1 : 0;
    value_clipped += value.clipped ? 1 : 0;
    ++tokens;
  }
};

void PpoObjective::learn(const RolloutPart& part, double weight, Sums& sums) {
  const auto log_probs = policy_pass_.log_probs(part.batch, 1 / options_.temperature, true);
  const auto values = critic_pass_.values(part.batch.tokens, part.batch.rows, true);
  std::vector<double> d_log_prob(log_probs.size()), d_value(log_probs.size());
  for (size_t s = 0; s < part.batch.sequences(); ++s) {
    const auto& rollout = set_.rollouts[part.first + s];
    for (size_t i = part.batch.starts[s]; i < part.batch.starts[s + 1]; ++i) {
      const size_t t = i - part.batch.starts[s];
      const auto policy = policy_term(log_probs[i], rollout.old[t], rollout.advantages[t], options_.clip);
      const auto value = value_term(values[i], rollout.values[t], rollout.returns[t], options_.value_clip);
      d_log_prob[i] = weight * policy.d_log_prob;
      d_value[i] = weight * value.d_value;
      sums.add(policy, value, log_probs[i] - rollout.old[t]);
    }
  }
  policy_pass_.backward(d_log_prob);
  critic_pass_.backward(d_value);
}

void PpoObjective::accumulate(int64_t step, train::StepMetrics& metrics) {
  const int64_t iteration = step / steps_per_iteration(), inner = step % steps_per_iteration();
  if (inner == 0) {
    collect(iteration);
    metrics.flops += collecting_flops();
  }
  const auto parts = parts_of(step);
  int64_t tokens = 0;
  for (const auto* part : parts) tokens += static_cast<int64_t>(part->batch.rows.size());
  if (tokens == 0) {
    fail(Kind::usage, "--mini-batches ", options_.mini_batches,
         " leaves optimizer steps without data: the rollouts fill ", set_.parts.size(),
         " micro-batches; lower --micro-batch-tokens or --mini-batches");
  }
  Sums sums;
  for (const auto* part : parts) {
    learn(*part, 1 / static_cast<double>(tokens), sums);
    metrics.tokens += part->batch.tokens.tokens();
    metrics.flops += learning_flops(*part);
  }
  if (inner == 0 && sums.worst_ratio != 0) {
    fail(Kind::internal, "PPO iteration ", iteration, ": the first pass gives a ratio that is off 1 by ",
         sums.worst_ratio, "; the old log-probabilities are not the policy's");
  }
  const auto count = static_cast<double>(tokens);
  metrics.values = figures_;
  metrics.values["loss/policy"] = sums.policy_loss / count;
  metrics.values["loss/value"] = sums.value_loss / count;
  metrics.values["policy/approxkl"] = sums.approx_kl / count;
  metrics.values["policy/clipfrac"] = static_cast<double>(sums.clipped) / count;
  metrics.values["val/clipfrac"] = static_cast<double>(sums.value_clipped) / count;
  metrics.values["val/max_ratio_deviation"] = sums.worst_ratio;
  metrics.loss = (sums.policy_loss + sums.value_loss) / count;
}

Json PpoObjective::save_state() const {
  Json state = Json::object();
  state["kl_coefficient"] = kl_.coefficient();
  state["negative_kl_iterations"] = negative_kl_;
  return state;
}

void PpoObjective::load_state(const Json& state) {
  kl_.set_coefficient(state.at("kl_coefficient").as_double());
  negative_kl_ = state.at("negative_kl_iterations").as_int();
}

}  // namespace gristmill::align

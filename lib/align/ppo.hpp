#pragma once

// Proximal policy optimization for a language model (Ouyang et al. 2022; details as in Huang et al. 2024,
// "The N+ implementation details of RLHF with PPO"): per iteration sample responses, score them with the
// reward model at their last token, charge the KL to the reference token by token, estimate advantages with a
// critic, then take epochs × mini_batches optimizer steps on them.

#include <memory>

#include "align/flops.hpp"
#include "align/rollout.hpp"
#include "train/objective.hpp"

namespace gristmill::align {

struct PpoOptions {
  int64_t iterations = 40;
  int64_t rollout_batch = 64;  ///< prompts sampled an iteration
  int64_t epochs = 4;          ///< passes over an iteration's rollouts
  int64_t mini_batches = 1;    ///< optimizer steps a pass
  int64_t micro_batch_tokens = 4096;
  int64_t max_response_tokens = 64;
  double temperature = 1.0;
  double clip = 0.2, value_clip = 0.2;
  double gamma = 1.0, lambda = 0.95;
  double kl_coef = 0.05;
  double target_kl = 0;  ///< nats a response; 0 keeps kl_coef
  double kl_horizon = 10000;
  double missing_end_penalty = 1.0;
  double sampler_tolerance = 1e-4;  ///< largest accepted |sampler − trainer| log-probability
  uint64_t seed = 1;
};

/// Error{usage} that names the option.
void validate(const PpoOptions& options);
/// Adds the options to a run's record.
void put(const PpoOptions& options, Json& record);

class PpoObjective : public train::Objective {
 public:
  /// Policy and reference start equal; the critic starts from the reward model. All share the tokenizer;
  /// `end_of_turn` ends a response.
  PpoObjective(model::Transformer& policy, model::Transformer& critic, model::Transformer& reference,
               model::Transformer& reward_model, std::vector<PromptExample> prompts, uint32_t end_of_turn,
               const PpoOptions& options);

  std::vector<Trainee> trainees() override { return {{"policy", policy_}, {"critic", critic_}}; }
  int64_t total_steps() const override { return options_.iterations * steps_per_iteration(); }
  void reserve() override;
  /// Counted as FLOPs: three forward passes of policy and critic over what the step learns from, and in the
  /// first step of an iteration one each of policy (twice: sampled and scored), reference, critic and reward
  /// model over the new responses. A sampled token counts as one of a forward pass.
  void accumulate(int64_t step, train::StepMetrics& metrics) override;
  bool can_checkpoint(int64_t next_step) const override { return next_step % steps_per_iteration() == 0; }
  Json save_state() const override;
  void load_state(const Json& state) override;

 private:
  int64_t steps_per_iteration() const { return options_.epochs * options_.mini_batches; }
  void collect(int64_t iteration);
  void score(int64_t iteration);
  void check_sampler(const Rollout& rollout, int64_t iteration) const;
  void finish_iteration_figures();
  void watch_kl();
  double collecting_flops() const;
  double learning_flops(const RolloutPart& part) const;
  /// The parts that optimizer step `step` learns from.
  std::vector<const RolloutPart*> parts_of(int64_t step) const;
  struct Sums;
  void learn(const RolloutPart& part, double weight, Sums& sums);

  model::Transformer* policy_;
  model::Transformer* critic_;
  model::Transformer* reference_;
  model::Transformer* reward_model_;
  std::vector<PromptExample> prompts_;
  uint32_t end_of_turn_;
  PpoOptions options_;
  EpochSampler sampler_;
  LanguagePass policy_pass_, reference_pass_;
  ScalarPass critic_pass_;
  ForwardFlops policy_flops_, critic_flops_, reference_flops_, reward_flops_;
  AdaptiveKl kl_;
  RolloutSet set_;
  std::map<std::string, double> figures_;  ///< of the iteration's rollouts, for the metrics of its steps
  int64_t negative_kl_ = 0;                ///< iterations in a row whose mean KL estimate is clearly negative
};

}  // namespace gristmill::align

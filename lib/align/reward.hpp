#pragma once

// Reward model: a scalar head on the body of a language model, trained on preferences by the Bradley–Terry
// loss. The reward of a reply is read at its end-of-turn token.

#include "align/examples.hpp"
#include "align/flops.hpp"
#include "align/preference_loss.hpp"
#include "train/objective.hpp"

namespace gristmill::align {

struct RewardTrainOptions {
  int64_t epochs = 1;       ///< more than one overfits quickly
  int64_t batch_size = 32;  ///< pairs an optimizer step
  int64_t micro_batch_tokens = 4096;
  double centering = 0.01;  ///< weight of (r_w + r_l)²: keeps rewards around zero
  uint64_t seed = 1;
};

class RewardObjective : public train::Objective {
 public:
  RewardObjective(model::Transformer& model, std::vector<PairExample> examples,
                  std::vector<PairExample> validation, const RewardTrainOptions& options);
  std::vector<Trainee> trainees() override { return {{"reward", model_}}; }
  int64_t total_steps() const override { return sampler_.total_steps(); }
  void reserve() override;
  /// Counted as FLOPs: three forward passes of the step's pairs.
  void accumulate(int64_t step, train::StepMetrics& metrics) override;
  /// val_loss and val_accuracy: the share of pairs whose chosen reply has the strictly higher reward.
  std::map<std::string, double> validate() override;

 private:
  struct Sums;
  void run_pairs(const std::vector<const PairExample*>& pairs, double weight, bool learn, Sums& sums);

  model::Transformer* model_;
  std::vector<PairExample> examples_, validation_;
  RewardTrainOptions options_;
  EpochSampler sampler_;
  ScalarPass pass_;
  ForwardFlops flops_;
};

}  // namespace gristmill::align

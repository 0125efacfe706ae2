#pragma once

// Direct preference optimization and its kin (preference_loss.hpp). The reference's log-probabilities are
// computed once, before training, so that no second model is held in memory while training.

#include "align/examples.hpp"
#include "align/flops.hpp"
#include "align/preference_loss.hpp"
#include "train/objective.hpp"

namespace gristmill::align {

struct DpoOptions {
  DpoLossOptions loss;
  int64_t epochs = 1;
  int64_t batch_size = 32;  ///< pairs an optimizer step
  int64_t micro_batch_tokens = 4096;
  uint64_t seed = 1;
};

/// Summed response log-probabilities of each pair under a model.
struct PairReference {
  double chosen = 0, rejected = 0;
};
std::vector<PairReference> reference_log_probs(model::Transformer& reference,
                                               const std::vector<PairExample>& pairs,
                                               int64_t micro_batch_tokens);

class DpoObjective : public train::Objective {
 public:
  /// `references[i]` belongs to `examples[i]`, `validation_references` likewise.
  DpoObjective(model::Transformer& model, std::vector<PairExample> examples,
               std::vector<PairReference> references, std::vector<PairExample> validation,
               std::vector<PairReference> validation_references, const DpoOptions& options);
  std::vector<Trainee> trainees() override { return {{"policy", model_}}; }
  int64_t total_steps() const override { return sampler_.total_steps(); }
  void reserve() override;
  /// Counted as FLOPs: three forward passes of the step's pairs, the head at the replies' tokens. The
  /// reference's scores are made before the first step and are in none.
  void accumulate(int64_t step, train::StepMetrics& metrics) override;
  std::map<std::string, double> validate() override;

 private:
  struct Item {
    const PairExample* pair;
    const PairReference* reference;
  };
  struct Sums;
  void run_pairs(const std::vector<Item>& items, double weight, bool learn, Sums& sums);

  model::Transformer* model_;
  std::vector<PairExample> examples_;
  std::vector<PairReference> references_;
  std::vector<PairExample> validation_;
  std::vector<PairReference> validation_references_;
  DpoOptions options_;
  EpochSampler sampler_;
  LanguagePass pass_;
  ForwardFlops flops_;
};

}  // namespace gristmill::align

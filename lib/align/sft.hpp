#pragma once

// Supervised fine-tuning: the mean negative log-likelihood of the assistants' tokens, over all of a step's
// tokens together (not a mean of micro-batch means).

#include "align/examples.hpp"
#include "align/flops.hpp"
#include "train/objective.hpp"

namespace gristmill::align {

struct SftOptions {
  int64_t epochs = 3;
  int64_t batch_size = 32;            ///< conversations an optimizer step
  int64_t micro_batch_tokens = 4096;  ///< packed tokens of one forward and backward
  uint64_t seed = 1;
};

class SftObjective : public train::Objective {
 public:
  SftObjective(model::Transformer& model, std::vector<Sequence> examples, std::vector<Sequence> validation,
               const SftOptions& options);
  std::vector<Trainee> trainees() override { return {{"policy", model_}}; }
  int64_t total_steps() const override { return sampler_.total_steps(); }
  void reserve() override;
  /// Counted as FLOPs: three forward passes of the step's conversations, the head at the learned tokens.
  void accumulate(int64_t step, train::StepMetrics& metrics) override;
  std::map<std::string, double> validate() override;

 private:
  model::Transformer* model_;
  std::vector<Sequence> examples_, validation_;
  SftOptions options_;
  EpochSampler sampler_;
  LanguagePass pass_;
  ForwardFlops flops_;
};

}  // namespace gristmill::align

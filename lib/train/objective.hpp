#pragma once

// What is trained: pre-training, SFT, reward, DPO and PPO plug into the one training loop as objectives.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/json.hpp"
#include "model/transformer.hpp"
#include "train/ranks.hpp"

namespace gristmill::train {

/// Sums that a step's micro-batches add to; written to metrics.jsonl. Objectives put their own figures under
/// the names users know from trl ("rewards/margins").
struct StepMetrics {
  double loss = 0;     ///< the objective's mean loss of the step
  int64_t tokens = 0;  ///< tokens processed
  double flops = 0;    ///< model FLOPs of the step (see metrics.hpp); 0 = not stated
  std::map<std::string, double> values;
};

class Objective {
 public:
  virtual ~Objective() = default;

  /// The models whose gradients the steps fill, updated by one optimizer each. The first is the product
  /// (saved as the model directory); the others are saved in sub-folders of the checkpoint under their names.
  struct Trainee {
    std::string name;
    model::Transformer* model;
    Ranks* ranks = nullptr;  ///< of an objective whose micro-batches several ranks share; null = one process
  };
  virtual std::vector<Trainee> trainees() = 0;

  /// Allocates what the largest micro-batch takes, in one piece a model. Called once before the first step,
  /// when the level of recomputing is set and a checkpoint is loaded.
  virtual void reserve() {}

  /// Number of optimizer steps in all; the schedule needs it beforehand.
  virtual int64_t total_steps() const = 0;
  /// Computes the gradients of optimizer step `step` (0-based), all micro-batches of it, divided by the
  /// number of tokens (or pairs) of the whole step and not averaged by micro-batch. Which data a step sees is
  /// a function of (seed, step) and restored state alone. Of several ranks each computes its share, by
  /// in_rounds(), and has the sums of all in the metrics.
  virtual void accumulate(int64_t step, StepMetrics& metrics) = 0;
  /// Held-out figures ("val_loss" …) for the metrics; empty if there is no validation data.
  virtual std::map<std::string, double> validate() { return {}; }
  /// False in the middle of a PPO iteration, where a checkpoint could not be resumed exactly.
  virtual bool can_checkpoint(int64_t next_step) const { return next_step >= 0; }

  /// State beyond the models and the step number.
  virtual Json save_state() const { return Json::object(); }
  virtual void load_state(const Json&) {}
  /// What several ranks must agree on before the first step.
  virtual Json shared_facts() const { return save_state(); }
};

}  // namespace gristmill::train

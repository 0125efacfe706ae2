#pragma once

// Checkpoints of a run: checkpoints/step-N is a model directory plus optimizer.safetensors and trainer.json;
// further trainees stand in sub-folders of their names. A checkpoint appears whole (temporary name, fsync,
// rename) or not at all.

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.hpp"
#include "train/objective.hpp"
#include "train/optimizer.hpp"

namespace gristmill::train {

/// What a checkpoint knows beside weights and moments.
struct TrainerState {
  int64_t step = 0;    ///< finished optimizer steps
  int64_t tokens = 0;  ///< processed so far
  uint64_t seed = 1;
  std::string device;            ///< where it ran: equal bits are promised for one instruction set
  Json record = Json::object();  ///< the tool's options
  Json objective = Json::object();
  Json recent;  ///< the windows of outliers, if the run has them

  Json to_json() const;
  static TrainerState from_json(const Json& json);
};

/// Writes checkpoints/step-N and returns its path. Of several ranks all call it and the first writes.
std::string save_checkpoint(const std::string& run_dir, const std::vector<Objective::Trainee>& trainees,
                            const std::vector<Optimizer>& optimizers, const TrainerState& state,
                            const std::string& tokenizer);

/// trainer.json of a checkpoint.
TrainerState load_trainer_state(const std::string& checkpoint);

/// Weights and moments of a checkpoint; those that are not finite or do not fit are Error{input}.
void load_checkpoint(const std::string& checkpoint, const std::vector<Objective::Trainee>& trainees,
                     std::vector<Optimizer>& optimizers);

/// Removes all but the `keep` newest checkpoints (keep < 1 keeps all), and what an interrupted save left.
void prune_checkpoints(const std::string& run_dir, int64_t keep);

}  // namespace gristmill::train

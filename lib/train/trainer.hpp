#pragma once

// The one training loop: steps, schedule, clipping, optimizer, metrics, validation, checkpoints, exact
// resume, signals.

#include <cstdint>
#include <string>

#include "base/json.hpp"
#include "model/quantized.hpp"
#include "model/recompute.hpp"
#include "runtime/device.hpp"
#include "train/export.hpp"
#include "train/objective.hpp"
#include "train/optimizer.hpp"
#include "train/schedule.hpp"

namespace gristmill::train {

struct TrainOptions {
  std::string run_dir;
  runtime::DType compute = runtime::DType::f32;  ///< what the tool opens its device with: f32 or bf16
  model::WeightStorage weights = model::WeightStorage::real;  ///< or bf16, rounded at each update
  model::Recompute recompute = model::Recompute::norms;
  OptimizerKind optimizer = OptimizerKind::adamw;
  double learning_rate = 1e-3;
  ScheduleOptions schedule;
  double beta1 = 0.9, beta2 = 0.95, epsilon = 1e-8, weight_decay = 0.1;
  double clip_norm = 1.0;          ///< 0 = off
  double skip_outliers = 0;        ///< z-score from which a step is left out; 0 = off
  int64_t checkpoint_every = 500;  ///< steps; 0 = only at the end
  int64_t validate_every = 100;    ///< steps; 0 = only at the end
  int64_t keep_checkpoints = 2;
  bool resume = false;  ///< go on from the last checkpoint, or start if there is none
  uint64_t seed = 1;
  uint64_t memory_limit = 0;  ///< bytes that a run may plan to hold; 0 = what the machine has to spare
  ExportOptions export_to;    ///< what is written for others when the run is finished
};

/// Error{usage} that names an option outside its range.
void check(const TrainOptions& options);
/// check(), and Error{usage} where the run directory or the export's folder is taken. For tools to ask before
/// they read data and weights; run() asks again. Of several ranks the first one asks.
void check_start(const TrainOptions& options);

/// Runs the objective to its end in `options.run_dir` (config.toml, metrics.jsonl, checkpoints/step-N/,
/// report.html). `record` is what config.toml and the checkpoint keep of the tool's options; on resume a
/// difference is Error{usage} listing the keys. An existing run directory without `resume` is Error{usage}.
/// SIGTERM and SIGUSR1 save a checkpoint and throw Stopped. A non-finite loss or gradient norm is
/// Error{input} naming the step and the last good checkpoint, and weights or moments that are not finite are
/// never saved. `tokenizer_directory` is copied into each checkpoint ("" = none) and into the export.
void run(Objective& objective, const TrainOptions& options, const Json& record,
         const std::string& tokenizer_directory);

}  // namespace gristmill::train

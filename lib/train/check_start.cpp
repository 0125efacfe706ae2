// What can be said against a run before its data and weights are read.

#include <cmath>

#include "base/error.hpp"
#include "train/run_directory.hpp"
#include "train/trainer.hpp"

namespace gristmill::train {

void check(const TrainOptions& options) {
  const auto within = [](const char* name, double value, double low, double high) {
    if (!(value >= low && value <= high))
      fail(Kind::usage, name, " must lie between ", low, " and ", high, ", not ", value);
  };
  const auto below_one = [](const char* name, double value) {
    if (!(value >= 0 && value < 1)) fail(Kind::usage, name, " must be at least 0 and below 1, not ", value);
  };
  if (options.run_dir.empty()) fail(Kind::usage, "no run directory; name one with --run-dir");
  if (!(options.learning_rate > 0) || !std::isfinite(options.learning_rate))
    fail(Kind::usage, "--lr must be above 0, not ", options.learning_rate);
  below_one("--beta1", options.beta1);
  below_one("--beta2", options.beta2);
  within("--warmup", options.schedule.warmup_share, 0, 1);
  within("--decay", options.schedule.decay_share, 0, 1);
  within("--final-lr", options.schedule.final_share, 0, 1);
  if (!(options.weight_decay >= 0)) fail(Kind::usage, "--weight-decay must not be below 0");
  if (!(options.clip_norm >= 0)) fail(Kind::usage, "--clip-norm must not be below 0 (0 = off)");
  const auto not_below_zero = [](const char* name, int64_t value) {
    if (value < 0) fail(Kind::usage, name, " must not be below 0, and is ", value);
  };
  not_below_zero("--checkpoint-every", options.checkpoint_every);
  not_below_zero("--validate-every", options.validate_every);
  not_below_zero("--keep-checkpoints", options.keep_checkpoints);
  if (options.weights != model::WeightStorage::real) {
    if (options.compute != runtime::DType::bf16)
      fail(Kind::usage, "--weights bf16 goes with arithmetic in bf16: add --dtype bf16");
    if (options.optimizer == OptimizerKind::muon)
      fail(Kind::usage, "--optimizer muon updates weights in fp32 only; leave --weights bf16 away");
  }
  if (!(options.skip_outliers >= 0)) fail(Kind::usage, "--skip-outliers must not be below 0 (0 = off)");
}

void check_start(const TrainOptions& options) {
  check(options);
  check_run_directory(options.run_dir, options.resume);
  check_export(options.export_to, options.run_dir);
}

}  // namespace gristmill::train

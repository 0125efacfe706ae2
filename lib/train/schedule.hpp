#pragma once

// Learning rates by step.

#include <cstdint>

namespace gristmill::train {

enum class Schedule { constant, cosine, linear, wsd };

struct ScheduleOptions {
  Schedule kind = Schedule::cosine;
  double warmup_share = 0.02;  ///< of all steps: linear from 0
  double decay_share = 0.2;    ///< wsd: last share of the steps, down to almost 0 (1 - sqrt form)
  double final_share = 0.1;    ///< of the peak, at the end of cosine and linear
  double anneal_share = 0;     ///< last share of the steps: from where the rate stands then down to almost 0
};

/// The first step of the annealing: `total` without one, else at least one step is left.
int64_t anneal_begin(double anneal_share, int64_t total);

/// Multiplier of the peak learning rate at `step` (0-based) of `total` steps.
double schedule_factor(const ScheduleOptions& options, int64_t step, int64_t total);

}  // namespace gristmill::train

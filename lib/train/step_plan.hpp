#pragma once

// How the windows of a pre-training run are shared out to its steps: a constant batch, behind a ramp of
// growing ones if asked for (McCandlish et al. 2018: small batches suffice at first), and from the first
// annealing step on windows of a second source among them. All of it is a function of the options, so that a
// resumed run sees the same.

#include <cstdint>
#include <vector>

namespace gristmill::train {

struct StepPlanOptions {
  int64_t budget = 1;          ///< windows to train on
  bool round_up = true;        ///< a rest of less than a batch is one more step; false: is left out
  int64_t batch = 1;           ///< windows a step
  int64_t micro_batch = 1;     ///< windows in memory at once: what a ramped batch is made of
  double ramp_start = 1;       ///< first batch, as a share of `batch`
  double ramp_share = 0;       ///< share of the budget in which the batch grows; 0 = no ramp
  double anneal_share = 0;     ///< last share of the steps: see anneal_begin()
  double anneal_weight = 0.5;  ///< share of the annealing steps' windows that the second source gives
};

class StepPlan {
 public:
  explicit StepPlan(const StepPlanOptions& options);

  int64_t steps() const { return steps_; }
  /// Windows of a step.
  int64_t windows(int64_t step) const;

  /// A window's place: how many of its source came before it in the run.
  struct Place {
    bool anneal;  ///< of the second source
    int64_t position;
  };
  Place place(int64_t step, int64_t index) const;

 private:
  /// Windows before a step.
  int64_t before(int64_t step) const;
  void plan_ramp();

  StepPlanOptions options_;
  std::vector<int64_t> ramp_;  ///< windows before step i, and behind the last step of the ramp
  int64_t steps_ = 1;
  int64_t anneal_from_ = INT64_MAX;  ///< first window of the annealing
};

}  // namespace gristmill::train

#include "train/step_plan.hpp"

#include <algorithm>
#include <cmath>

#include "train/schedule.hpp"

namespace gristmill::train {

StepPlan::StepPlan(const StepPlanOptions& options) : options_(options) {
  plan_ramp();
  const int64_t rest = std::max<int64_t>(0, options.budget - ramp_.back());
  const int64_t behind = options.round_up ? (rest + options.batch - 1) / options.batch : rest / options.batch;
  steps_ = std::max<int64_t>(1, static_cast<int64_t>(ramp_.size()) - 1 + behind);
  if (options.anneal_share > 0) anneal_from_ = before(anneal_begin(options.anneal_share, steps_));
}

/// The batch grows with the windows seen, in whole micro-batches.
void StepPlan::plan_ramp() {
  ramp_ = {0};
  const double end = options_.ramp_share * static_cast<double>(options_.budget);
  while (static_cast<double>(ramp_.back()) < end) {
    const double progress = static_cast<double>(ramp_.back()) / end;
    const double share = options_.ramp_start + (1 - options_.ramp_start) * progress;
    const auto wanted = static_cast<int64_t>(share * static_cast<double>(options_.batch));
    const int64_t whole = std::max<int64_t>(1, wanted / options_.micro_batch) * options_.micro_batch;
    ramp_.push_back(ramp_.back() + std::min(whole, options_.batch));
  }
}

int64_t StepPlan::before(int64_t step) const {
  const auto ramped = static_cast<int64_t>(ramp_.size()) - 1;
  if (step <= ramped) return ramp_[static_cast<size_t>(step)];
  return ramp_.back() + (step - ramped) * options_.batch;
}

int64_t StepPlan::windows(int64_t step) const { return before(step + 1) - before(step); }

StepPlan::Place StepPlan::place(int64_t step, int64_t index) const {
  const int64_t at = before(step) + index;
  if (at < anneal_from_) return {false, at};
  // Of the first k annealing windows floor(k · weight) come from the second source: even and without chance.
  const int64_t k = at - anneal_from_;
  const auto taken = [&](int64_t count) {
    return static_cast<int64_t>(std::floor(static_cast<double>(count) * options_.anneal_weight));
  };
  const int64_t earlier = taken(k);
  if (taken(k + 1) > earlier) return {true, earlier};
  return {false, anneal_from_ + k - earlier};
}

}  // namespace gristmill::train

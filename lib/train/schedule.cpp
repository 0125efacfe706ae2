#include "train/schedule.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace gristmill::train {
namespace {

/// Cosine (Loshchilov & Hutter 2017) or a line from 1 to final_share over the steps behind the warm-up.
double decayed(const ScheduleOptions& options, double progress) {
  const double shape =
      options.kind == Schedule::linear ? 1 - progress : (1 + std::cos(std::numbers::pi * progress)) / 2;
  return options.final_share + (1 - options.final_share) * shape;
}

double unannealed(const ScheduleOptions& options, int64_t step, int64_t total) {
  const auto steps = static_cast<double>(std::max<int64_t>(total, 1)), at = static_cast<double>(step);
  const double warmup = std::floor(options.warmup_share * steps);
  if (at < warmup) return (at + 1) / (warmup + 1);
  if (options.kind == Schedule::constant) return 1;
  if (options.kind == Schedule::wsd) {
    // Warm-up, stable, decay by 1 - sqrt (Hägele et al. 2024, §3).
    const double decay = std::max(1.0, std::floor(options.decay_share * steps)), begin = steps - decay;
    return at < begin ? 1 : 1 - std::sqrt((at - begin + 1) / (decay + 1));
  }
  return decayed(options, std::clamp((at - warmup) / std::max(1.0, steps - 1 - warmup), 0.0, 1.0));
}

}  // namespace

int64_t anneal_begin(double anneal_share, int64_t total) {
  if (anneal_share <= 0) return total;
  const auto steps = static_cast<int64_t>(std::floor(anneal_share * static_cast<double>(total)));
  return total - std::clamp<int64_t>(steps, 1, std::max<int64_t>(total, 1));
}

double schedule_factor(const ScheduleOptions& options, int64_t step, int64_t total) {
  const int64_t begin = anneal_begin(options.anneal_share, total);
  if (step < begin || begin == total) return unannealed(options, step, total);
  const auto left = static_cast<double>(total - step), whole = static_cast<double>(total - begin);
  return unannealed(options, begin, total) * left / (whole + 1);
}

}  // namespace gristmill::train

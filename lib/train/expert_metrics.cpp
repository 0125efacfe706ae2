#include "train/expert_metrics.hpp"

#include <algorithm>

namespace gristmill::train {

std::vector<double> expert_sums(const model::RouterFigures& figures, int64_t tokens) {
  const auto rows = static_cast<double>(tokens);
  std::vector<double> sums = {figures.balance * rows, figures.z * rows};
  sums.insert(sums.end(), figures.load.begin(), figures.load.end());
  return sums;
}

void put_expert_metrics(std::span<const double> sums, const model::Config& config, int64_t tokens,
                        double z_weight, StepMetrics& metrics) {
  const auto rows = static_cast<double>(tokens);
  metrics.values["aux_loss"] = sums[0] / rows;
  if (z_weight > 0) metrics.values["router_z_loss"] = z_weight * sums[1] / rows;
  const double share =
      rows * static_cast<double>(config.experts_per_token) / static_cast<double>(config.experts);
  const auto load = sums.subspan(2);
  metrics.values["expert_load/max"] = *std::max_element(load.begin(), load.end()) / share;
  metrics.values["expert_load/min"] = *std::min_element(load.begin(), load.end()) / share;
}

}  // namespace gristmill::train

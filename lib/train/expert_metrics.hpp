#pragma once

// Figures of a mixture of experts in metrics.jsonl. "aux_loss" is the load-balance loss without its weight,
// as transformers reports it: 1 · K where all is even. It is computed for each micro-batch by itself and
// averaged by tokens, so that it does not depend on how many ranks share the micro-batches.
// "expert_load/max" and "expert_load/min" are the tokens of the busiest and of the idlest expert of any layer
// over those of an even share.

#include <cstdint>
#include <span>
#include <vector>

#include "model/config.hpp"
#include "model/router.hpp"
#include "train/objective.hpp"

namespace gristmill::train {

/// What a micro-batch of `tokens` tokens adds to a step's sums.
std::vector<double> expert_sums(const model::RouterFigures& figures, int64_t tokens);

/// The metrics of the sums of a step of `tokens` tokens; the z-loss only with a weight.
void put_expert_metrics(std::span<const double> sums, const model::Config& config, int64_t tokens,
                        double z_weight, StepMetrics& metrics);

}  // namespace gristmill::train

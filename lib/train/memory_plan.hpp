#pragma once

// What a training run will hold in memory beside its data, worked out before anything is allocated, so that a
// run that cannot fit says so in its first second and not at its first checkpoint.

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "model/config.hpp"
#include "model/recompute.hpp"
#include "runtime/tensor.hpp"
#include "train/optimizer.hpp"

namespace gristmill::train {

struct MemoryPlanOptions {
  int64_t micro_batch_tokens = 1;
  bool validates = false;  ///< a forward pass that keeps nothing has two layers' memory of its own
  runtime::DType real = runtime::DType::f32, compute = runtime::DType::f32;
  model::Recompute recompute = model::Recompute::norms;
  OptimizerKind optimizer = OptimizerKind::adamw;
  int ranks = 1;  ///< that share the optimizer's state
};

/// Parts and their bytes, in the order in which a step needs them.
struct MemoryPlan {
  std::vector<std::pair<std::string, uint64_t>> parts;
  uint64_t total() const;
};

MemoryPlan plan_memory(const model::Config& config, const MemoryPlanOptions& options);

/// Says the parts and the sum. More than `available` (nothing = not known) is Error{device} that says what
/// makes it less.
void report_memory(const MemoryPlan& plan, std::optional<uint64_t> available);

}  // namespace gristmill::train

#pragma once

// What a training run will hold in memory beside its data, worked out before anything is allocated, so that a
// run that cannot fit says so in its first second and not at its first checkpoint.

#include <cstdint>
#include <string>
#include <vector>

#include "model/config.hpp"
#include "model/recompute.hpp"
#include "runtime/tensor.hpp"
#include "train/optimizer.hpp"
#include "train/trainer.hpp"

namespace gristmill::train {

struct MemoryPlanOptions {
  model::PassExtent extent;      ///< the most tokens of one pass
  int64_t objective_bytes = 0;   ///< what the objective has beside the model's passes
  int64_t cached_sequences = 0;  ///< generated side by side …
  int64_t cached_positions = 0;  ///< … and the longest of them: keys and values
  runtime::DType real = runtime::DType::f32, compute = runtime::DType::f32;
  runtime::DType weights = runtime::DType::f32;  ///< of parameters
  model::Recompute recompute = model::Recompute::norms;
  OptimizerKind optimizer = OptimizerKind::adamw;
  int ranks = 1;  ///< that share the optimizer's state …
  int zero = 1;   ///< … by this stage of ZeRO
};

/// Types, level and optimizer of a run.
MemoryPlanOptions memory_options(const TrainOptions& options);

/// Parts and their bytes, in the order in which a step needs them.
struct MemoryPlan {
  struct Part {
    std::string name;
    uint64_t bytes = 0;
    bool is_shared = false;  ///< working memory of the device: of several models the largest counts
  };
  std::vector<Part> parts;

  uint64_t total() const;
  /// Takes over the parts of one more model, under its name ("critic: gradients"); empty parts are left out.
  void add(const std::string& model, const MemoryPlan& plan);
};

/// A model that is trained: parameters, gradients, moments, one micro-batch. Of several ranks, the one that
/// owns most.
MemoryPlan plan_memory(const model::Config& config, const MemoryPlanOptions& options);
/// A model that is only run, with passes of `options.extent.passing` tokens.
MemoryPlan plan_frozen(const model::Config& config, const MemoryPlanOptions& options);

/// What a run on the device may take: `limit`, or where that is 0 what a device with memory of its own has
/// free; 0 where it has none.
uint64_t memory_limit(runtime::Device& device, uint64_t limit);

/// Says the parts and the sum. More than `limit` bytes, or with 0 than what the machine has to spare, is
/// Error{device} that says what makes it less. `processes` of this machine hold as much each, and share its
/// memory.
void report_memory(const MemoryPlan& plan, uint64_t limit, int processes = 1);

}  // namespace gristmill::train

#pragma once

// What forward and backward passes hold in memory, and where: in training one allocation for the whole run,
// laid out from the model's shape and the most tokens that a pass will have; elsewhere each part grows on
// demand.

#include <cstdint>
#include <vector>

#include "model/block.hpp"
#include "model/config.hpp"
#include "model/recompute.hpp"
#include "model/router.hpp"
#include "runtime/arena.hpp"
#include "runtime/device.hpp"

namespace gristmill::model {

/// The memory of one kind of forward pass.
struct Pass {
  Pass(runtime::Device& device, int64_t input_count, int64_t layer_count);
  Activations& activations(int64_t layer) { return layers[static_cast<size_t>(layer) % layers.size()]; }
  runtime::Scratch& input(int64_t layer) { return inputs[static_cast<size_t>(layer) % inputs.size()]; }

  runtime::Scratch ids, positions, document_starts, sequence, slot, length;
  std::vector<runtime::Scratch> inputs;  ///< of all layers where kept, else two that take turns
  std::vector<Activations> layers;       ///< of all layers where kept, else one
  runtime::Scratch last;                 ///< residual stream before the final norm
  runtime::Scratch statistics, hidden;
  Rows rows;
};

/// The memory of all passes of a model.
struct PassMemory {
  PassMemory(runtime::Device& device, const Config& config, Recompute recompute);

  Pass kept, passing;
  Workspace work;
  RouterTally router;
  runtime::Scratch embedding_gradient;  ///< tied: V × dim, head and embedding are summed here before either
                                        ///< reaches the gradients
  runtime::Buffer arena;                ///< what reserve() allocated
};

/// Memory with room for passes of this extent in one piece. A larger pass takes more, part by part.
PassMemory reserve_passes(runtime::Device& device, const Config& config, Recompute recompute,
                          const PassExtent& extent);

/// All parts that passes of this extent use; `memory` may be null.
runtime::ArenaParts pass_parts(const Config& config, const PassExtent& extent, runtime::DType real,
                               runtime::DType compute, Recompute recompute, PassMemory* memory);

}  // namespace gristmill::model

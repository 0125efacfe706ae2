#pragma once

// How much of a forward pass is kept for the backward pass. What is not kept is computed anew there by the
// same kernels from the same operands, so that gradients are the same bit for bit at every level: memory
// against time (Chen et al. 2016).

#include <cstdint>

#include "model/config.hpp"
#include "runtime/tensor.hpp"

namespace gristmill::model {

enum class Recompute {
  none,   ///< everything is kept, the norms' outputs and the activation's product too
  norms,  ///< norms' outputs, normed queries and keys, and the activation's product are computed anew
  block,  ///< of each layer only its input is kept; the layer runs once more in the backward pass
};

/// The most tokens that the passes of a run will have.
struct PassExtent {
  int64_t kept = 0;     ///< of forward(keep = true) and backward(); 0 = there are none
  int64_t passing = 0;  ///< of forward(keep = false)
};

/// Bytes that Transformer::reserve() allocates: kept activations, what the layers share, what a pass that
/// keeps nothing has beside them, and the scratch gradient of a tied head. Parameters, gradients, optimizer
/// state and the objective's own buffers are not in it. Document starts are counted as if each token were a
/// document, and each part is rounded up to 64 bytes. Types as Device::real() and Device::compute().
int64_t activation_bytes(const Config& config, const PassExtent& extent, runtime::DType real,
                         runtime::DType compute, Recompute recompute);

}  // namespace gristmill::model

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

/// Bytes that a Transformer allocates for the rows of one micro-batch of `tokens` tokens, forward(keep =
/// true) through backward(): kept activations, what the layers share, and the scratch gradient of a tied
/// head. Parameters, gradients, optimizer state and the objective's own buffers are not in it. The document
/// starts are counted as if each token were a document. Types as Device::real() and Device::compute().
int64_t activation_bytes(const Config& config, int64_t tokens, runtime::DType real, runtime::DType compute,
                         Recompute recompute);

}  // namespace gristmill::model

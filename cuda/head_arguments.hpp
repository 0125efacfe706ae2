#pragma once

// What kernels of the language-model head take: a chunk of rows of logits, and what is said of each row.

#include <cstdint>

#include "cuda/arguments.hpp"

namespace gristmill::runtime::cuda {

struct HeadChunk {
  float* logits;  ///< before scaling; a block for each row
  int64_t vocabulary, pitch;
  float scale;
  int64_t first;  ///< row of the views below that the chunk begins with
  Indices targets;
  Rows log_prob, lse, entropy;  ///< R × 1; without data, not wanted
};

/// Upstream, R × 1; without data, zero.
struct HeadUpstream {
  ConstRows log_prob, lse, entropy;
};

}  // namespace gristmill::runtime::cuda

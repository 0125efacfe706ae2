#pragma once

// Model FLOPs of packed sequences, for the share of the machine's peak in the metrics: the products that the
// mathematics asks for, whatever is computed twice or left out for memory's sake.
//
//   forward = 2 · B · tokens + 2 · V · C · rows + 4 · L · W · Σ n²
//
// B: parameters but the embedding and the head (of a mixture of experts those that a token meets), rows:
// where the head is read (it is not run elsewhere), W: heads · head_dim, n: length of a sequence (causal
// attention counts whole, as in 12 · L · W · T of pre-training). A backward pass is twice the forward pass.

#include <cstdint>

#include "model/config.hpp"
#include "model/transformer.hpp"

namespace gristmill::align {

/// FLOPs of forward passes of one model.
class ForwardFlops {
 public:
  explicit ForwardFlops(const model::Config& config);
  /// Of one forward pass over the batch whose head is read at `head_rows` rows.
  double operator()(const model::Batch& batch, int64_t head_rows) const;

 private:
  double a_token_, a_head_row_;
  double a_square_;  ///< FLOPs per squared token of a sequence's length
};

}  // namespace gristmill::align

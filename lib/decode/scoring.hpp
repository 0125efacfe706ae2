#pragma once

// Log-probabilities of given tokens: what perplexity, multiple choice and judges need.

#include <cstdint>
#include <vector>

#include "model/transformer.hpp"

namespace gristmill::decode {

/// A sequence and the positions to score: target position t (1 ≤ t < ids.size()) is predicted from ids[0, t).
struct ScoreRequest {
  std::vector<uint32_t> ids;
  size_t first_scored = 1;
};

/// Natural log-probabilities of ids[first_scored…], one vector a request. Requests are packed into batches of
/// at most `batch_tokens` tokens; the result does not depend on the packing beyond rounding. A sequence may
/// have one id more than the context (its last id is only predicted); longer is Error{input}. `logit_scale` =
/// 1 / temperature.
std::vector<std::vector<double>> score(model::Transformer& model, const std::vector<ScoreRequest>& requests,
                                       int64_t batch_tokens = 4096, double logit_scale = 1);

}  // namespace gristmill::decode

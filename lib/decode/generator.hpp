#pragma once

// Generation with a KV cache: many sequences at once, the same tokens whatever they are batched with.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "model/transformer.hpp"
#include "runtime/backend.hpp"

namespace gristmill::decode {

struct GenerateOptions {
  runtime::Sampling sampling;
  int64_t max_tokens = 128;
  std::vector<uint32_t> stop_ids;  ///< end a sequence; the stop id itself is kept in ids as its last
  int64_t batch = 32;              ///< sequences generated side by side; never changes the result
  uint64_t seed = 1;
};

/// Rows of one forward pass while prompts are read: bounds its memory.
inline constexpr int64_t kPrefillRows = 512;

enum class Finish { stop, length };

struct Completion {
  std::vector<uint32_t> ids;  ///< generated ids, the stop id included when Finish::stop
  std::vector<double>
      log_probs;  ///< one an id, under the distribution at the sampling temperature, before filters
  Finish finish = Finish::length;
};

/// One request. Random numbers come from (seed, request number `stream`, position), so that a completion does
/// not depend on the batch.
struct Request {
  std::vector<uint32_t> prompt;
  uint64_t stream = 0;
};

/// Completes all requests; results in the order of the requests. A prompt longer than the model's context
/// minus one is Error{input}. `on_token(request index, id)` is called as tokens come, for streaming.
std::vector<Completion> generate(model::Transformer& model, const std::vector<Request>& requests,
                                 const GenerateOptions& options,
                                 const std::function<void(size_t, uint32_t)>& on_token = {});

}  // namespace gristmill::decode

#include "align/start.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace gristmill::align {

std::optional<decode::ModelFiles> open_reference(const std::string& path, const decode::ModelFiles& policy) {
  if (path.empty()) return std::nullopt;
  auto reference = decode::open_model_files(path);
  if (reference.tokenizer->hash() != policy.tokenizer->hash()) {
    fail(Kind::input, path, ": the reference has another tokenizer than ", policy.path,
         "; name a model with the same tokenizer");
  }
  return reference;
}

int64_t prompt_room(const decode::ModelFiles& policy, const decode::ModelFiles& reward,
                    const PpoOptions& options) {
  if (reward.tokenizer->hash() != policy.tokenizer->hash()) {
    fail(Kind::input, reward.path, ": the reward model has another tokenizer than ", policy.path,
         "; train it from a model with the same tokenizer");
  }
  const int64_t context = std::min(policy.config.context, reward.config.context);
  if (options.max_response_tokens >= context) {
    fail(Kind::usage, "--max-response-tokens ", options.max_response_tokens,
         " leaves no room for a prompt in the models' context of ", context);
  }
  return context - options.max_response_tokens;
}

}  // namespace gristmill::align

#pragma once

// What tuning with more than one model starts from: models that must fit each other, which their small files
// tell before data and weights are read.

#include <cstdint>
#include <optional>
#include <string>

#include "align/ppo.hpp"
#include "decode/session.hpp"

namespace gristmill::align {

/// The model that DPO is to stay near: `path`, or with "" none but the policy itself (nullopt). It must be a
/// language model with the policy's tokenizer, else Error{input}.
std::optional<decode::ModelFiles> open_reference(const std::string& path, const decode::ModelFiles& policy);

/// The most tokens of a prompt that PPO's policy continues and its reward model reads, with the response.
/// Error{input} if their tokenizers differ, Error{usage} if no prompt has room.
int64_t prompt_room(const decode::ModelFiles& policy, const decode::ModelFiles& reward,
                    const PpoOptions& options);

}  // namespace gristmill::align

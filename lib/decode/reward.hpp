#pragma once

// Rewards: a scalar-head model read at the last token of a conversation. Training (reward-train), the reward
// of PPO and the judge of the arena all take the ids from reward_ids(), so that they read the same position
// of the same sequence: the end of turn that ends the reply. The newline that ChatML puts behind it is left
// off, since a sampled reply ends with the stop token itself; prompt ids followed by a sampled reply are then
// exactly what the reward model was trained on.

#include <cstdint>
#include <vector>

#include "model/transformer.hpp"
#include "shard/record.hpp"
#include "tokenizer/chat_template.hpp"
#include "tokenizer/tokenizer.hpp"

namespace gristmill::decode {

/// The ids of a conversation for a reward model, up to and including the last end of turn.
std::vector<uint32_t> reward_ids(const tokenizer::ChatTemplate& chat,
                                 const std::vector<shard::Message>& messages);

/// The scalar head's value at the last id of each sequence, in order. Sequences are packed into batches of at
/// most `batch_tokens` tokens. An empty sequence or one longer than the context is Error{input}; a model
/// without a scalar head is Error{usage}; a value that is no number is Error{input}.
std::vector<double> reward_of(model::Transformer& reward_model, const std::vector<std::vector<uint32_t>>& ids,
                              int64_t batch_tokens = 4096);

/// reward_of() of whole conversations. One longer than the context keeps its last ids (the end of the reply
/// decides); `truncated`, unless null, counts them.
std::vector<double> score_conversations(model::Transformer& reward_model,
                                        const tokenizer::Tokenizer& tokenizer,
                                        const std::vector<std::vector<shard::Message>>& conversations,
                                        uint64_t* truncated = nullptr, int64_t batch_tokens = 4096);

}  // namespace gristmill::decode

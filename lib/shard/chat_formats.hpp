#pragma once

// The spellings in which others keep conversations and preferences, turned into messages. Private to
// lib/shard.

#include <string_view>
#include <vector>

#include "base/json.hpp"
#include "shard/record.hpp"

namespace gristmill::shard {

/// Takes the conversation out of a record; the keys it was made of are removed. One of:
///   "messages" [{"role","content"}]                       ours, OpenAI's
///   "conversations" [{"from","value"}], "system"?         ShareGPT
///   "instruction", "input"?, "output", "system"?          Alpaca
///   "prompt", "completion"?                               strings or lists of messages
///   "text" with "\n\nHuman:" … "\n\nAssistant:"           HH transcript
std::vector<Message> take_conversation(Json& record, std::string_view where);

struct PreferenceParts {
  std::vector<Message> prompt, chosen, rejected;
};

/// Takes a preference out of a record: "chosen" and "rejected" as strings, lists or HH transcripts, whole
/// conversations or answers alone; "prompt" may be absent, then it is the longest common beginning of the
/// two, in messages.
PreferenceParts take_preference(Json& record, std::string_view where);

}  // namespace gristmill::shard

#pragma once

// A conversation with a model, line by line.

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "decode/generator.hpp"
#include "decode/session.hpp"
#include "shard/record.hpp"
#include "tokenizer/chat_template.hpp"

namespace gristmill::decode {

/// Remembers the turns and replies to the next one. When the conversation outgrows the model's context, its
/// oldest turns are forgotten first; the system message stays.
class Chat {
 public:
  /// `options.stop_ids` gains the end of a turn. Error{input} if the tokenizer has no chat tokens.
  Chat(Session& session, GenerateOptions options, const std::string& system = "");

  /// The model's reply to `text`; `on_text` is called with its pieces as they come. Error{input} if the
  /// message alone is too long for the context; the conversation is then as it was.
  std::string reply(const std::string& text, const std::function<void(std::string_view)>& on_text = {});
  /// Forgets all turns but the system message.
  void reset();
  const std::vector<shard::Message>& messages() const { return messages_; }

 private:
  std::vector<uint32_t> fitting_prompt();

  Session* session_;
  GenerateOptions options_;
  tokenizer::ChatTemplate template_;
  std::vector<shard::Message> messages_;
  size_t kept_;         ///< messages at the front that are never forgotten: the system message
  uint64_t turns_ = 0;  ///< random stream of the next reply
};

/// Reads lines of standard input and answers each on standard output until the end or /quit; /reset starts
/// anew.
void run_chat(Chat& chat);

}  // namespace gristmill::decode

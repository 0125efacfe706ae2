#pragma once

// Conversations to ids and loss mask in one step, ChatML:
//
//   <|im_start|>role\ncontent<|im_end|>\n        for every message
//   <|im_start|>assistant\n                      in front of a reply to be generated
//
// Ids are built piece by piece (special, header, content, special, newline), never by rendering text and
// tokenizing it: content that spells "<|im_end|>" stays plain bytes, nothing merges across a boundary, and
// the ids in front of a reply are the same in training as in generation.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "shard/record.hpp"
#include "tokenizer/tokenizer.hpp"

namespace gristmill::tokenizer {

/// ids and mask have one length. mask[t] = 1 iff ids[t] is to be learned *as a target*: it belongs to an
/// assistant's content or is the
/// <|im_end|> that ends it. Everything else (headers, system, user, tool, the newline behind <|im_end|>) is
/// 0. No end-of-text id is put in front.
struct Rendered {
  std::vector<uint32_t> ids;
  std::vector<uint8_t> mask;
};

struct RenderOptions {
  bool generation_prompt = false;  ///< end with the header of an assistant's turn
  size_t learn_from = 0;           ///< messages before this index are never learned (a preference's prompt)
};

class ChatTemplate {
 public:
  /// Error{input} if the tokenizer lacks <|im_start|> or <|im_end|>.
  explicit ChatTemplate(Tokenizer tokenizer);

  Rendered render(std::span<const shard::Message> messages, const RenderOptions& options = {}) const;
  /// Prompt and reply of a preference: only the reply's assistant turns are learned.
  Rendered render(std::span<const shard::Message> prompt, std::span<const shard::Message> reply) const;
  /// The ids to continue from: the messages and the header of the assistant's turn.
  std::vector<uint32_t> prompt(std::span<const shard::Message> messages) const;

  /// The id at which a reply ends: <|im_end|>.
  uint32_t end_of_turn() const { return turn_end_; }
  const Tokenizer& tokenizer() const { return tokenizer_; }

 private:
  void append(const shard::Message& message, bool learn, Rendered& out) const;
  void append_header(const std::string& role, Rendered& out) const;

  Tokenizer tokenizer_;
  uint32_t turn_start_ = 0, turn_end_ = 0;
  std::vector<uint32_t> newline_;
};

}  // namespace gristmill::tokenizer

#pragma once

// Conversations to ids and loss mask in one step, in the form of the tokenizer's family, which its special
// tokens tell:
//
//   ChatML   <|im_start|>role\ncontent<|im_end|>\n                         for every message
//            <|im_start|>assistant\n                                       in front of a reply
//   Llama 3  <|begin_of_text|>                                             in front of the first message
//            <|start_header_id|>role<|end_header_id|>\n\ncontent<|eot_id|>  for every message (stripped)
//            <|start_header_id|>assistant<|end_header_id|>\n\n             in front of a reply
//
// Ids are built piece by piece (special, header, content, special, newline), never by rendering text and
// tokenizing it: content that spells "<|im_end|>" stays plain bytes, nothing merges across a boundary, and
// the ids in front of a reply are the same in training as in generation.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "shard/record.hpp"
#include "tokenizer/tokenizer.hpp"

namespace gristmill::tokenizer {

/// ids and mask have one length. mask[t] = 1 iff ids[t] is to be learned *as a target*: it belongs to an
/// assistant's content or is the end of turn behind it. Everything else (headers, system, user, tool, the
/// newline behind <|im_end|>) is 0. No end-of-text id is put in front.
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
  /// Error{input} that names the known families if the tokenizer has the special tokens of none.
  explicit ChatTemplate(Tokenizer tokenizer);

  Rendered render(std::span<const shard::Message> messages, const RenderOptions& options = {}) const;
  /// Prompt and reply of a preference: only the reply's assistant turns are learned.
  Rendered render(std::span<const shard::Message> prompt, std::span<const shard::Message> reply) const;
  /// The ids to continue from: the messages and the header of the assistant's turn.
  std::vector<uint32_t> prompt(std::span<const shard::Message> messages) const;

  /// The id at which a reply ends: <|im_end|> or <|eot_id|>.
  uint32_t end_of_turn() const { return turn_end_; }
  const Tokenizer& tokenizer() const { return tokenizer_; }

 private:
  void append(const shard::Message& message, bool learn, Rendered& out) const;
  void append_header(const std::string& role, Rendered& out) const;

  Tokenizer tokenizer_;
  bool strips_content_ = false;
  uint32_t turn_start_ = 0, turn_end_ = 0;
  std::optional<uint32_t> begin_, header_end_;
  std::string header_text_;  ///< plain text behind a role (and header_end_)
  std::vector<uint32_t> turn_text_;
};

/// The id that ends a turn of a chat, if the tokenizer is of a known family.
std::optional<uint32_t> find_end_of_turn(const Tokenizer& tokenizer);

}  // namespace gristmill::tokenizer

#pragma once

// Prompts as records: what `generate` reads, and how each becomes ids.
//
//   {"prompt": "text"}                      plain text to continue, behind the end-of-text id that begins
//                                           every document
//   {"prompt": [{"role","content"}, …]}     a conversation to reply to, in the tokenizer's chat template
//   {"messages": [{"role","content"}, …]}   the same; assistant turns at its end are taken off: they are
//                                           what is asked for
//   {"ids": [1, 2, 3]}                      ids, taken as they are
//
// All other keys ride along to the output.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.hpp"
#include "shard/record.hpp"
#include "tokenizer/tokenizer.hpp"

namespace gristmill::decode {

struct Prompt {
  Json shown;  ///< the prompt as the output repeats it: a string, a list of messages or a list of ids
  std::optional<std::string> text;
  std::vector<shard::Message> messages;
  std::vector<uint32_t> ids;
  Json extra = Json::object();

  /// Error{input} with `where` in front for what is no prompt.
  static Prompt parse(std::string_view line, std::string_view where);
  static Prompt of_text(std::string text);
  static Prompt of_ids(std::vector<uint32_t> ids);
};

/// How plain text is put to the model.
enum class TextTemplate {
  none,    ///< to be continued
  chatml,  ///< as a user's message to be answered
};

/// The ids to continue from. `tokenizer` may be null for prompts that are ids; Error{usage} otherwise.
std::vector<uint32_t> prompt_ids(const Prompt& prompt, const tokenizer::Tokenizer* tokenizer,
                                 TextTemplate how);

/// "1,2,3" as ids; Error{usage} for anything else.
std::vector<uint32_t> parse_ids(std::string_view text);

/// A JSON list of ids; Error{input} with `where` in front.
std::vector<uint32_t> ids_from_json(const Json& json, std::string_view where);

}  // namespace gristmill::decode

#include "tokenizer/chat_template.hpp"

#include <string_view>
#include <utility>

#include "base/error.hpp"
#include "base/str.hpp"

namespace gristmill::tokenizer {
namespace {

constexpr const char* kAssistant = "assistant";

/// The special tokens and the plain text of a family; an empty token = has none.
struct ChatForm {
  std::string_view begin, turn_start, header_end, turn_end;
  std::string_view header_text, turn_text;
  bool strips_content;
};

constexpr ChatForm kForms[] = {
    {"", kTurnStart, "", kTurnEnd, "\n", "\n", false},
    {"<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "\n\n", "", true}};

const ChatForm* find_form(const Tokenizer& tokenizer) {
  for (const auto& form : kForms) {
    bool whole = true;
    for (const auto token : {form.begin, form.turn_start, form.header_end, form.turn_end}) {
      whole = whole && (token.empty() || tokenizer.special(token).has_value());
    }
    if (whole) return &form;
  }
  return nullptr;
}

// Makes the mask as long as the ids: what was appended since is learned or not.
void extend_mask(Rendered& out, bool learn) { out.mask.resize(out.ids.size(), learn ? 1 : 0); }

}  // namespace

ChatTemplate::ChatTemplate(Tokenizer tokenizer) : tokenizer_(std::move(tokenizer)) {
  const ChatForm* form = find_form(tokenizer_);
  if (form == nullptr) {
    fail(Kind::input,
         "the tokenizer has the tokens of no known chat template (ChatML: <|im_start|>, <|im_end|>; Llama 3: "
         "<|start_header_id|>, <|eot_id|> …), so it cannot hold a chat; train one with tokenize-train");
  }
  strips_content_ = form->strips_content;
  turn_start_ = *tokenizer_.special(form->turn_start);
  turn_end_ = *tokenizer_.special(form->turn_end);
  if (!form->begin.empty()) begin_ = tokenizer_.special(form->begin);
  if (!form->header_end.empty()) header_end_ = tokenizer_.special(form->header_end);
  header_text_ = form->header_text;
  turn_text_ = tokenizer_.encode(form->turn_text);
}

// Text that touches is encoded together: ChatML's role and newline are one text, as in training elsewhere.
void ChatTemplate::append_header(const std::string& role, Rendered& out) const {
  if (begin_ && out.ids.empty()) out.ids.push_back(*begin_);
  out.ids.push_back(turn_start_);
  if (header_end_) {
    tokenizer_.encode(role, out.ids);
    out.ids.push_back(*header_end_);
    tokenizer_.encode(header_text_, out.ids);
  } else {
    tokenizer_.encode(role + header_text_, out.ids);
  }
  extend_mask(out, false);
}

void ChatTemplate::append(const shard::Message& message, bool learn, Rendered& out) const {
  append_header(message.role, out);
  tokenizer_.encode(strips_content_ ? strip(message.content) : std::string_view(message.content), out.ids);
  out.ids.push_back(turn_end_);
  extend_mask(out, learn && message.role == kAssistant);
  out.ids.insert(out.ids.end(), turn_text_.begin(), turn_text_.end());
  extend_mask(out, false);
}

Rendered ChatTemplate::render(std::span<const shard::Message> messages, const RenderOptions& options) const {
  Rendered out;
  for (size_t i = 0; i < messages.size(); ++i) append(messages[i], i >= options.learn_from, out);
  if (options.generation_prompt) append_header(kAssistant, out);
  return out;
}

Rendered ChatTemplate::render(std::span<const shard::Message> prompt,
                              std::span<const shard::Message> reply) const {
  Rendered out;
  for (const auto& message : prompt) append(message, false, out);
  for (const auto& message : reply) append(message, true, out);
  return out;
}

std::vector<uint32_t> ChatTemplate::prompt(std::span<const shard::Message> messages) const {
  return render(messages, {.generation_prompt = true}).ids;
}

std::optional<uint32_t> find_end_of_turn(const Tokenizer& tokenizer) {
  const ChatForm* form = find_form(tokenizer);
  return form == nullptr ? std::nullopt : tokenizer.special(form->turn_end);
}

}  // namespace gristmill::tokenizer

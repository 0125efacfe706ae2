#include "tokenizer/chat_template.hpp"

#include <utility>

#include "base/error.hpp"

namespace gristmill::tokenizer {
namespace {

constexpr const char* kAssistant = "assistant";

uint32_t required(const Tokenizer& tokenizer, std::string_view content) {
  if (const auto id = tokenizer.special(content)) return *id;
  fail(Kind::input, "the tokenizer has no ", content,
       " token, so it cannot hold a chat; train one with tokenize-train");
}

// Makes the mask as long as the ids: what was appended since is learned or not.
void extend_mask(Rendered& out, bool learn) { out.mask.resize(out.ids.size(), learn ? 1 : 0); }

}  // namespace

ChatTemplate::ChatTemplate(Tokenizer tokenizer)
    : tokenizer_(std::move(tokenizer)),
      turn_start_(required(tokenizer_, kTurnStart)),
      turn_end_(required(tokenizer_, kTurnEnd)),
      newline_(tokenizer_.encode("\n")) {}

void ChatTemplate::append_header(const std::string& role, Rendered& out) const {
  out.ids.push_back(turn_start_);
  tokenizer_.encode(role + "\n", out.ids);
  extend_mask(out, false);
}

void ChatTemplate::append(const shard::Message& message, bool learn, Rendered& out) const {
  append_header(message.role, out);
  tokenizer_.encode(message.content, out.ids);
  out.ids.push_back(turn_end_);
  extend_mask(out, learn && message.role == kAssistant);
  out.ids.insert(out.ids.end(), newline_.begin(), newline_.end());
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

}  // namespace gristmill::tokenizer

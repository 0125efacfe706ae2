#include "decode/prompt.hpp"

#include <utility>

#include "base/error.hpp"
#include "base/str.hpp"
#include "tokenizer/chat_template.hpp"

namespace gristmill::decode {

namespace {

void drop_final_replies(std::vector<shard::Message>& messages) {
  while (!messages.empty() && messages.back().role == "assistant") messages.pop_back();
}

}  // namespace

std::vector<uint32_t> ids_from_json(const Json& json, std::string_view where) {
  if (!json.is_array()) fail(Kind::input, where, ": \"ids\" is no list");
  std::vector<uint32_t> ids;
  for (const auto& item : json.as_array()) {
    if (!item.is_integer() || item.as_double() < 0 || item.as_double() > UINT32_MAX) {
      fail(Kind::input, where, ": \"ids\" holds something that is no token id");
    }
    ids.push_back(static_cast<uint32_t>(item.as_uint()));
  }
  return ids;
}

Prompt Prompt::parse(std::string_view line, std::string_view where) {
  const Json json = Json::parse(line, where);
  if (!json.is_object()) fail(Kind::input, where, ": a prompt record is a JSON object");
  Prompt result;
  if (const Json* ids = json.find("ids"); ids != nullptr) {
    result.ids = ids_from_json(*ids, where);
    if (result.ids.empty()) fail(Kind::input, where, ": \"ids\" is empty: there is nothing to continue");
    result.shown = *ids;
  } else if (const Json* prompt = json.find("prompt"); prompt != nullptr && prompt->is_string()) {
    result.text = prompt->as_string();
    result.shown = *prompt;
  } else {
    const Json* messages = prompt != nullptr ? prompt : json.find("messages");
    if (messages == nullptr)
      fail(Kind::input, where, ": a prompt record has \"prompt\", \"messages\" or \"ids\"");
    result.messages = shard::messages_from_json(*messages, where);
    drop_final_replies(result.messages);
    if (result.messages.empty()) fail(Kind::input, where, ": there is no message to reply to");
    result.shown = shard::to_json(result.messages);
  }
  for (const auto& [key, value] : json.as_object()) {
    if (key != "ids" && key != "prompt" && key != "messages") result.extra[key] = value;
  }
  return result;
}

Prompt Prompt::of_text(std::string text) {
  Prompt prompt;
  prompt.shown = text;
  prompt.text = std::move(text);
  return prompt;
}

Prompt Prompt::of_ids(std::vector<uint32_t> ids) {
  Prompt prompt;
  prompt.shown = Json::array();
  for (const uint32_t id : ids) prompt.shown.push_back(static_cast<int64_t>(id));
  prompt.ids = std::move(ids);
  return prompt;
}

std::vector<uint32_t> prompt_ids(const Prompt& prompt, const tokenizer::Tokenizer* tokenizer,
                                 TextTemplate how) {
  if (!prompt.ids.empty()) return prompt.ids;
  if (tokenizer == nullptr)
    fail(Kind::usage, "text prompts need the model's tokenizer; give ids, or name --tokenizer FILE");
  if (prompt.text && how == TextTemplate::none) {
    std::vector<uint32_t> ids = {tokenizer->end_of_text()};
    tokenizer->encode(*prompt.text, ids);
    return ids;
  }
  const tokenizer::ChatTemplate chat(*tokenizer);
  if (!prompt.text) return chat.prompt(prompt.messages);
  const std::vector<shard::Message> messages = {{"user", *prompt.text}};
  return chat.prompt(messages);
}

std::vector<uint32_t> parse_ids(std::string_view text) {
  std::vector<uint32_t> ids;
  for (const auto part : split(text, ',')) {
    const auto id = parse_uint(strip(part));
    if (!id || *id > UINT32_MAX) fail(Kind::usage, in_quotes(part), " is no token id; ids look like 1,2,3");
    ids.push_back(static_cast<uint32_t>(*id));
  }
  return ids;
}

}  // namespace gristmill::decode

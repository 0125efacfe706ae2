#include "shard/chat_formats.hpp"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <string>
#include <utility>

#include "base/error.hpp"
#include "base/str.hpp"

namespace gristmill::shard {

namespace {

constexpr std::string_view kHuman = "\n\nHuman:", kAssistant = "\n\nAssistant:";

/// One role by the names that data sets give it.
std::string role_of(const std::string& name, std::string_view where) {
  const std::string role = to_lower_ascii(name);
  if (role == "user" || role == "human" || role == "prompter") return "user";
  if (role == "assistant" || role == "gpt" || role == "chatgpt" || role == "bot" || role == "model" ||
      role == "bing" || role == "bard") {
    return "assistant";
  }
  if (role == "system" || role == "developer") return "system";
  if (role == "tool" || role == "function" || role == "observation") return "tool";
  fail(Kind::input, where, ": unknown role ", in_quotes(name), "; known are system, user, assistant, tool");
}

const Json* find_any(const Json& json, std::string_view first, std::string_view second) {
  const Json* found = json.find(first);
  return found != nullptr ? found : json.find(second);
}

/// The text of a message: a string, or OpenAI's list of parts [{"type":"text","text":…}].
std::string content_of(const Json& content, std::string_view where) {
  if (content.is_string()) return content.as_string();
  std::string text;
  if (!content.is_array()) fail(Kind::input, where, ": a message without text");
  for (const auto& part : content.as_array()) {
    const Json* piece = part.find("text");
    if (piece == nullptr || !piece->is_string())
      fail(Kind::input, where, ": a message with a part that is no text");
    text += piece->as_string();
  }
  return text;
}

bool is_transcript(std::string_view text) {
  return text.substr(0, kHuman.size()) == kHuman || text.substr(0, kAssistant.size()) == kAssistant;
}

/// Anthropic's HH form: "\n\nHuman: …\n\nAssistant: …" turned into messages. An empty last turn (a prompt
/// that ends with "\n\nAssistant:") is no message.
std::vector<Message> parse_transcript(std::string_view text) {
  std::vector<Message> messages;
  while (!text.empty()) {
    const bool human = text.substr(0, kHuman.size()) == kHuman;
    text.remove_prefix(human ? kHuman.size() : kAssistant.size());
    const size_t end = std::min({text.find(kHuman), text.find(kAssistant), text.size()});
    const std::string_view content = strip(text.substr(0, end));
    text.remove_prefix(end);
    if (!text.empty() || !content.empty()) {
      messages.push_back({human ? "user" : "assistant", std::string(content)});
    }
  }
  return messages;
}

/// A prompt or an answer: a list of messages, a transcript, or a string that is one message of `role`.
std::vector<Message> messages_or_text(const Json& json, const char* role, std::string_view where) {
  if (!json.is_string()) return messages_from_json(json, where);
  const std::string& text = json.as_string();
  if (is_transcript(text)) return parse_transcript(text);
  return {{role, text}};
}

std::string optional_string(const Json& record, std::string_view key) {
  const Json* member = record.find(key);
  return member != nullptr && member->is_string() ? member->as_string() : std::string();
}

/// ShareGPT and Alpaca keep the system prompt in a key of its own.
std::vector<Message> take_system(Json& record) {
  const std::string system = optional_string(record, "system");
  if (const Json* member = record.find("system"); member == nullptr || !member->is_string()) return {};
  record.erase("system");
  if (system.empty()) return {};
  return {{"system", system}};
}

std::vector<Message> take_alpaca(Json& record, std::string_view where) {
  std::vector<Message> messages = take_system(record);
  std::string instruction = content_of(record.at("instruction"), where);
  if (const std::string input = optional_string(record, "input"); !strip(input).empty())
    instruction += "\n\n" + input;
  messages.push_back({"user", instruction});
  messages.push_back({"assistant", content_of(record.at("output"), where)});
  for (const char* key : {"instruction", "input", "output"}) record.erase(key);
  return messages;
}

std::vector<Message> take_prompt_completion(Json& record, std::string_view where) {
  std::vector<Message> messages = messages_or_text(record.at("prompt"), "user", where);
  if (const Json* completion = record.find("completion"); completion != nullptr) {
    for (auto& message : messages_or_text(*completion, "assistant", where))
      messages.push_back(std::move(message));
  }
  record.erase("prompt");
  record.erase("completion");
  return messages;
}

size_t common_messages(const std::vector<Message>& a, const std::vector<Message>& b) {
  const auto [end, other] = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  return static_cast<size_t>(end - a.begin());
}

void drop_front(std::vector<Message>& messages, size_t count) {
  messages.erase(messages.begin(), messages.begin() + static_cast<std::ptrdiff_t>(count));
}

void check_answers(const PreferenceParts& parts, bool transcripts, std::string_view where) {
  if (parts.chosen.empty() || parts.rejected.empty()) {
    fail(Kind::input, where, ": nothing tells the chosen from the rejected answer");
  }
  if (parts.prompt.empty()) fail(Kind::input, where, ": the chosen and the rejected answer share no prompt");
  if (parts.chosen.front().role != "assistant" || parts.rejected.front().role != "assistant" ||
      (transcripts && (parts.chosen.size() > 1 || parts.rejected.size() > 1))) {
    fail(Kind::input, where, ": the chosen and the rejected answer belong to different prompts");
  }
}

}  // namespace

std::vector<Message> messages_from_json(const Json& json, std::string_view where) {
  if (!json.is_array()) fail(Kind::input, where, ": messages are a list of {\"role\",\"content\"}");
  std::vector<Message> messages;
  for (const auto& item : json.as_array()) {
    const Json* role = find_any(item, "role", "from");
    const Json* content = find_any(item, "content", "value");
    if (role == nullptr || content == nullptr || !role->is_string()) {
      fail(Kind::input, where, ": a message without \"role\" or \"content\"");
    }
    messages.push_back({role_of(role->as_string(), where), content_of(*content, where)});
  }
  return messages;
}

std::vector<Message> take_conversation(Json& record, std::string_view where) {
  for (const char* key : {"messages", "conversations"}) {
    const Json* list = record.find(key);
    if (list == nullptr) continue;
    auto messages = messages_from_json(*list, where);
    record.erase(key);
    if (key != std::string_view("conversations")) return messages;
    auto all = take_system(record);
    all.insert(all.end(), std::make_move_iterator(messages.begin()), std::make_move_iterator(messages.end()));
    return all;
  }
  if (record.find("instruction") != nullptr && record.find("output") != nullptr)
    return take_alpaca(record, where);
  if (record.find("prompt") != nullptr) return take_prompt_completion(record, where);
  if (const std::string text = optional_string(record, "text"); is_transcript(text)) {
    record.erase("text");
    return parse_transcript(text);
  }
  fail(Kind::input, where,
       ": no conversation: expected \"messages\", \"conversations\", \"instruction\" and \"output\", "
       "or \"prompt\"");
}

PreferenceParts take_preference(Json& record, std::string_view where) {
  const Json* chosen = record.find("chosen");
  const Json* rejected = record.find("rejected");
  if (chosen == nullptr || rejected == nullptr)
    fail(Kind::input, where, ": no \"chosen\" or no \"rejected\" answer");
  const bool transcripts = chosen->is_string() && is_transcript(chosen->as_string());
  PreferenceParts parts;
  parts.chosen = messages_or_text(*chosen, "assistant", where);
  parts.rejected = messages_or_text(*rejected, "assistant", where);
  size_t shared = 0;
  if (const Json* prompt = record.find("prompt"); prompt != nullptr && !prompt->is_null()) {
    parts.prompt = messages_or_text(*prompt, "user", where);
    if (prompt->is_string() && is_transcript(prompt->as_string()) && !transcripts) {
      // The answers continue the text "…\n\nAssistant:", so they start with its space.
      for (auto* answer : {&parts.chosen, &parts.rejected}) {
        for (auto& message : *answer) message.content = std::string(strip(message.content));
      }
    }
    const size_t length = parts.prompt.size();
    const bool whole = common_messages(parts.prompt, parts.chosen) == length &&
                       common_messages(parts.prompt, parts.rejected) == length;
    shared = whole ? length : 0;
  } else {
    shared = common_messages(parts.chosen, parts.rejected);
    parts.prompt.assign(parts.chosen.begin(), parts.chosen.begin() + static_cast<std::ptrdiff_t>(shared));
  }
  drop_front(parts.chosen, shared);
  drop_front(parts.rejected, shared);
  check_answers(parts, transcripts, where);
  for (const char* key : {"prompt", "chosen", "rejected"}) record.erase(key);
  return parts;
}

}  // namespace gristmill::shard

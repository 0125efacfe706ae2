// Records from their JSON lines. Keys that are not known ride in `extra` in their order; a key that is known
// but holds another type than ours does too, so that nothing is lost.

#include "shard/record.hpp"

#include <utility>

#include "base/error.hpp"
#include "base/str.hpp"
#include "shard/chat_formats.hpp"

namespace gristmill::shard {

namespace {

Json parse_object(std::string_view line, std::string_view where) {
  Json json = Json::parse(line, where);
  if (!json.is_object()) fail(Kind::input, where, ": a record is a JSON object, but this is none");
  return json;
}

/// Moves a string member into `value`; another type stays where it is.
void take_string(Json& json, std::string_view key, std::string& value) {
  Json* member = json.find(key);
  if (member == nullptr || !(member->is_string() || member->is_null())) return;
  // Json gives no mutable string, but a text of a gigabyte is better moved than copied.
  if (member->is_string()) value = std::move(const_cast<std::string&>(member->as_string()));
  json.erase(key);
}

void take_id(Json& json, std::string& id) {
  if (const Json* member = json.find("id"); member != nullptr && member->is_integer()) {
    id = member->dump();
    json.erase("id");
  } else {
    take_string(json, "id", id);
  }
}

void append_text(std::string& out, std::string_view key, std::string_view value) {
  out += out.empty() ? '{' : ',';
  append_json_string(out, key);
  out += ':';
  append_json_string(out, value);
}

void append_json(std::string& out, std::string_view key, const Json& value) {
  out += out.empty() ? '{' : ',';
  append_json_string(out, key);
  out += ':';
  out += value.dump();
}

void append_extra(std::string& out, const Json& extra) {
  for (const auto& [key, value] : extra.as_object()) append_json(out, key, value);
  out += '}';
}

void check_messages(const std::vector<Message>& messages, std::string_view where, std::string_view what) {
  if (messages.empty()) fail(Kind::input, where, ": ", what, " has no messages");
}

}  // namespace

Json to_json(const std::vector<Message>& messages) {
  Json list = Json::array();
  for (const auto& message : messages) {
    Json item = Json::object();
    item["role"] = message.role;
    item["content"] = message.content;
    list.push_back(std::move(item));
  }
  return list;
}

Document Document::parse(std::string_view line, std::string_view where) {
  Json json = parse_object(line, where);
  Document document;
  take_id(json, document.id);
  bool found = false;
  for (const char* key : {"text", "raw_content", "content"}) {
    const Json* member = json.find(key);
    if (found || member == nullptr) continue;
    if (!member->is_string()) fail(Kind::input, where, ": \"", key, "\" of a document is no string");
    take_string(json, key, document.text);
    found = true;
  }
  if (!found) fail(Kind::input, where, ": a document without \"text\"");
  take_string(json, "url", document.url);
  take_string(json, "source", document.source);
  take_string(json, "created", document.created);
  take_string(json, "lang", document.lang);
  if (Json* metadata = json.find("metadata"); metadata != nullptr && metadata->is_object()) {
    document.metadata = std::move(*metadata);
    json.erase("metadata");
  }
  document.extra = std::move(json);
  return document;
}

std::string Document::to_line() const {
  std::string out;
  if (extra.find("id") == nullptr) append_text(out, "id", id);
  append_text(out, "text", text);
  if (!url.empty()) append_text(out, "url", url);
  if (!source.empty()) append_text(out, "source", source);
  if (!created.empty()) append_text(out, "created", created);
  if (!lang.empty()) append_text(out, "lang", lang);
  if (extra.find("metadata") == nullptr) append_json(out, "metadata", metadata);
  append_extra(out, extra);
  return out;
}

Conversation Conversation::parse(std::string_view line, std::string_view where) {
  Json json = parse_object(line, where);
  Conversation conversation;
  take_id(json, conversation.id);
  conversation.messages = take_conversation(json, where);
  check_messages(conversation.messages, where, "the conversation");
  conversation.extra = std::move(json);
  return conversation;
}

std::string Conversation::to_line() const {
  std::string out;
  if (extra.find("id") == nullptr) append_text(out, "id", id);
  append_json(out, "messages", to_json(messages));
  append_extra(out, extra);
  return out;
}

Preference Preference::parse(std::string_view line, std::string_view where) {
  Json json = parse_object(line, where);
  Preference preference;
  take_id(json, preference.id);
  PreferenceParts parts = take_preference(json, where);
  preference.prompt = std::move(parts.prompt);
  preference.chosen = std::move(parts.chosen);
  preference.rejected = std::move(parts.rejected);
  take_string(json, "annotator", preference.annotator);
  if (const Json* margin = json.find("margin"); margin != nullptr && margin->is_number()) {
    preference.margin = margin->as_double();
    json.erase("margin");
  }
  preference.extra = std::move(json);
  return preference;
}

std::string Preference::to_line() const {
  std::string out;
  if (extra.find("id") == nullptr) append_text(out, "id", id);
  append_json(out, "prompt", to_json(prompt));
  append_json(out, "chosen", to_json(chosen));
  append_json(out, "rejected", to_json(rejected));
  if (!annotator.empty() && extra.find("annotator") == nullptr) append_text(out, "annotator", annotator);
  if (margin != 0 && extra.find("margin") == nullptr) append_json(out, "margin", margin);
  append_extra(out, extra);
  return out;
}

}  // namespace gristmill::shard

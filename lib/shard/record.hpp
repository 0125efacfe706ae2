#pragma once

// What a line of a shard holds: documents, conversations, preferences. Unknown keys ride along unchanged.

#include <string>
#include <string_view>
#include <vector>

#include "base/json.hpp"

namespace gristmill::shard {

/// One document: {"id","text","url"?,"source"?,"created"?,"lang"?,"metadata":{…}, …}.
struct Document {
  std::string id;
  std::string text;
  std::string url, source, created, lang;  ///< empty = absent
  Json metadata = Json::object();
  Json extra = Json::object();  ///< keys this struct does not know, in their order

  /// Reads one line. Dolma's and FineWeb's spellings are accepted ("raw_content", "content"; a numeric id). A
  /// record without text is Error{input}; `where` starts the message.
  static Document parse(std::string_view line, std::string_view where);
  std::string to_line() const;  ///< one JSON object, no newline
};

struct Message {
  std::string role;  ///< "system", "user", "assistant", "tool"
  std::string content;
  friend bool operator==(const Message&, const Message&) = default;
};

/// {"id","messages":[{"role","content"}]}. Alpaca, ShareGPT, HH and prompt/completion records are converted.
struct Conversation {
  std::string id;
  std::vector<Message> messages;
  Json extra = Json::object();
  static Conversation parse(std::string_view line, std::string_view where);
  std::string to_line() const;
};

/// {"id","prompt":[…],"chosen":[…],"rejected":[…],"annotator"?,"margin"?}. Strings and full conversations in
/// place of the lists, and HH transcripts, are converted.
struct Preference {
  std::string id;
  std::vector<Message> prompt, chosen, rejected;
  std::string annotator;
  double margin = 0;
  Json extra = Json::object();
  static Preference parse(std::string_view line, std::string_view where);
  std::string to_line() const;
};

/// A list of messages as JSON and back; Error{input} with `where` in front where it is none.
Json to_json(const std::vector<Message>& messages);
std::vector<Message> messages_from_json(const Json& json, std::string_view where);

}  // namespace gristmill::shard

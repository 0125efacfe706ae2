// The text of tokenizer.json: one line a token and a merge, so that two vocabularies can be compared by diff.

#include <cstddef>
#include <string>
#include <vector>

#include "base/json.hpp"
#include "base/str.hpp"
#include "tokenizer/byte_alphabet.hpp"
#include "tokenizer/unicode_table.hpp"
#include "tokenizer/vocabulary.hpp"

namespace gristmill::tokenizer {
namespace {

// Readers of the pattern ignore keys they do not know; ours says which letters it knew.
constexpr const char* kByteLevel =
    "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true, \"use_regex\": true";
constexpr const char* kPlainModel =
    "\"model\": {\n\"type\": \"BPE\",\n\"dropout\": null,\n\"unk_token\": "
    "null,\n\"continuing_subword_prefix\": null,\n"
    "\"end_of_word_suffix\": null,\n\"fuse_unk\": false,\n\"byte_fallback\": false,\n";

template <class Items, class AppendItem>
void append_items(std::string& out, const Items& items, const AppendItem& append_item) {
  const char* separator = "\n";
  for (const auto& item : items) {
    out += separator;
    append_item(item);
    separator = ",\n";
  }
  out += '\n';
}

void append_added(std::string& out, const AddedToken& token) {
  out += str("{\"id\": ", token.id, ", \"content\": ");
  append_json_string(out, token.content);
  out += str(
      ", \"single_word\": false, \"lstrip\": false, \"rstrip\": false, \"normalized\": false, \"special\": ",
      token.special, "}");
}

}  // namespace

std::string to_tokenizer_json(const Vocabulary& vocabulary) {
  std::vector<std::string> spelt;
  for (const std::string& token : vocabulary.tokens) spelt.push_back(spell_bytes(token));
  for (const AddedToken& token : vocabulary.added) spelt[token.id] = token.content;

  std::string out =
      "{\n\"version\": \"1.0\",\n\"truncation\": null,\n\"padding\": null,\n\"added_tokens\": [";
  append_items(out, vocabulary.added, [&](const AddedToken& token) { append_added(out, token); });
  out += str("],\n\"normalizer\": null,\n\"pre_tokenizer\": ", kByteLevel, ", \"unicode_version\": \"",
             kUnicodeVersion, "\"},\n\"post_processor\": ", kByteLevel, "},\n\"decoder\": ", kByteLevel,
             "},\n", kPlainModel, "\"ignore_merges\": ", vocabulary.ignore_merges, ",\n\"vocab\": {");
  size_t id = 0;
  append_items(out, spelt, [&](const std::string& token) {
    append_json_string(out, token);
    out += str(": ", id++);
  });
  out += "},\n\"merges\": [";
  append_items(out, vocabulary.merges, [&](const MergeRule& rule) {
    out += '[';
    append_json_string(out, spelt[rule.left]);
    out += ", ";
    append_json_string(out, spelt[rule.right]);
    out += ']';
  });
  return out + "]\n}\n}\n";
}

}  // namespace gristmill::tokenizer

#include "tokenizer/vocabulary.hpp"

#include <algorithm>
#include <cstddef>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "base/error.hpp"
#include "base/json.hpp"
#include "base/str.hpp"
#include "tokenizer/byte_alphabet.hpp"

namespace gristmill::tokenizer {
namespace {

using Ids = std::unordered_map<std::string_view, uint32_t>;  // spelt token → id; views into the parsed JSON

bool is_absent(const Json& json, std::string_view key) {
  const Json* value = json.find(key);
  return value == nullptr || value->is_null() || (value->is_string() && value->as_string().empty());
}

bool flag(const Json& json, std::string_view key, bool otherwise) {
  const Json* value = json.find(key);
  return value == nullptr || value->is_null() ? otherwise : value->as_bool();
}

std::string type_of(const Json& json) {
  const Json* type = json.is_object() ? json.find("type") : nullptr;
  return type != nullptr && type->is_string() ? type->as_string() : std::string();
}

// Anything that would make the ids differ from what this file means elsewhere is refused.
void check_supported(const Json& root, const Json& model) {
  const Json* type = model.find("type");
  if (type != nullptr && type_of(model) != "BPE") {
    fail(Kind::input, "model.type is not BPE; only byte-level BPE is supported");
  }
  if (!is_absent(root, "normalizer"))
    fail(Kind::input, "has a normalizer; only byte-level BPE without one is supported");
  const Json* cutter = root.find("pre_tokenizer");
  if (cutter == nullptr || type_of(*cutter) != "ByteLevel" || !flag(*cutter, "use_regex", true)) {
    fail(Kind::input,
         "pre_tokenizer is not ByteLevel with its own pattern; only GPT-2's pattern is supported");
  }
  if (flag(*cutter, "add_prefix_space", true)) {
    fail(Kind::input,
         "pre_tokenizer.add_prefix_space is not false; a space in front of the text is not supported");
  }
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (!is_absent(model, key)) fail(Kind::input, "model.", key, " is set; only byte-level BPE is supported");
  }
  const Json* dropout = model.find("dropout");
  if (dropout != nullptr && !dropout->is_null() && dropout->as_double() != 0) {
    fail(Kind::input, "model.dropout is not zero; encoding would be random");
  }
}

uint32_t checked_id(const Json& json, size_t size, std::string_view token) {
  const uint64_t id = json.is_integer() && json.as_double() >= 0 ? json.as_uint() : UINT64_MAX;
  if (id >= size) {
    fail(Kind::input, "the id of ", in_quotes(token), " is not one of 0 to ", size - 1,
         ", as many as there are tokens; ids may have no gaps");
  }
  return static_cast<uint32_t>(id);
}

std::vector<AddedToken> read_added(const Json& root, const Ids& in_vocab, size_t vocab_size, size_t& total) {
  std::vector<AddedToken> added;
  const Json* list = root.find("added_tokens");
  if (list == nullptr || list->is_null()) return added;
  total = vocab_size;
  std::unordered_set<std::string_view> seen;
  for (const Json& token : list->as_array()) {
    const std::string& content = token.at("content").as_string();
    if (content.empty()) fail(Kind::input, "added_tokens holds an empty token");
    if (!seen.insert(content).second) fail(Kind::input, "added_tokens holds ", in_quotes(content), " twice");
    if (in_vocab.count(content) == 0) ++total;
  }
  for (const Json& token : list->as_array()) {
    const std::string& content = token.at("content").as_string();
    added.push_back({checked_id(token.at("id"), total, content), content, flag(token, "special", false)});
  }
  std::sort(added.begin(), added.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
  return added;
}

// Gives every id its bytes. Each token has an id below their number and no id is given twice, so there are no
// gaps.
void fill_tokens(const Json::Object& vocab, const Ids& ids, Vocabulary& out) {
  std::vector<bool> filled(out.tokens.size());
  const auto put = [&](uint32_t id, std::string bytes, const std::string& name) {
    if (filled[id]) fail(Kind::input, "the id ", id, " of ", in_quotes(name), " is given twice");
    filled[id] = true;
    out.tokens[id] = std::move(bytes);
  };
  std::unordered_set<std::string_view> added;
  for (const AddedToken& token : out.added) {
    added.insert(token.content);
    const auto same = ids.find(token.content);
    if (same != ids.end() && same->second != token.id) {
      fail(Kind::input, in_quotes(token.content), " has the id ", same->second, " in model.vocab and ",
           token.id, " in added_tokens");
    }
    put(token.id, token.content, token.content);
  }
  for (const auto& [name, id] : vocab) {
    if (added.count(name) != 0) continue;
    auto bytes = unspell_bytes(name);
    if (!bytes || bytes->empty())
      fail(Kind::input, "model.vocab holds ", in_quotes(name),
           ", which spells no bytes; not a byte-level vocabulary");
    put(ids.at(name), std::move(*bytes), name);
  }
}

std::pair<std::string_view, std::string_view> merge_parts(const Json& rule, size_t rank) {
  if (rule.is_array() && rule.as_array().size() == 2) {
    return {rule.as_array()[0].as_string(), rule.as_array()[1].as_string()};
  }
  if (rule.is_string()) {
    const auto parts = split(rule.as_string(), ' ');
    if (parts.size() == 2) return {parts[0], parts[1]};
  }
  fail(Kind::input, "model.merges[", rank, "] is neither a pair nor \"left right\"");
}

std::vector<MergeRule> read_merges(const Json::Array& rules, const Ids& ids) {
  std::vector<MergeRule> merges;
  merges.reserve(rules.size());
  std::string joined;
  for (const Json& rule : rules) {
    const auto [left, right] = merge_parts(rule, merges.size());
    joined.assign(left).append(right);
    const auto l = ids.find(left), r = ids.find(right), result = ids.find(joined);
    if (l == ids.end() || r == ids.end() || result == ids.end()) {
      fail(Kind::input, "model.merges[", merges.size(), "] joins ", in_quotes(left), " and ",
           in_quotes(right), ", but ",
           in_quotes(l == ids.end()   ? left
                     : r == ids.end() ? right
                                      : std::string_view(joined)),
           " is not in model.vocab");
    }
    merges.push_back({l->second, r->second, result->second});
  }
  return merges;
}

std::vector<uint32_t> find_bytes(const Ids& ids) {
  std::vector<uint32_t> byte_ids;
  for (int byte = 0; byte < 256; ++byte) {
    const auto found = ids.find(spell_bytes(std::string(1, static_cast<char>(byte))));
    if (found == ids.end())
      fail(Kind::input, "model.vocab lacks the byte ", byte, "; not a whole byte-level vocabulary");
    byte_ids.push_back(found->second);
  }
  return byte_ids;
}

// Text must not be able to become a special token: what marks a document's or a turn's end is placed by code
// alone.
void check_specials_unreachable(const Vocabulary& vocabulary) {
  std::vector<bool> special(vocabulary.tokens.size());
  for (const AddedToken& token : vocabulary.added) special[token.id] = token.special;
  const auto check = [&](uint32_t id) {
    if (special[id])
      fail(Kind::input, "the special token ", in_quotes(vocabulary.tokens[id]),
           " is also a product of ordinary text");
  };
  for (const uint32_t id : vocabulary.byte_ids) check(id);
  for (const MergeRule& rule : vocabulary.merges) check(rule.result);
}

Vocabulary read_vocabulary(const Json& root) {
  if (!root.is_object()) fail(Kind::input, "is no JSON object");
  const Json& model = root.at("model");
  check_supported(root, model);
  const Json::Object& vocab = model.at("vocab").as_object();
  size_t total = vocab.size();
  Ids ids;
  for (const auto& [name, id] : vocab) {
    if (!ids.emplace(name, 0).second) fail(Kind::input, "model.vocab holds ", in_quotes(name), " twice");
  }
  Vocabulary out;
  out.added = read_added(root, ids, vocab.size(), total);
  for (const auto& [name, id] : vocab) ids[name] = checked_id(id, total, name);
  out.tokens.resize(total);
  fill_tokens(vocab, ids, out);
  out.byte_ids = find_bytes(ids);
  out.merges = read_merges(model.at("merges").as_array(), ids);
  out.ignore_merges = flag(model, "ignore_merges", false);
  check_specials_unreachable(out);
  return out;
}

}  // namespace

Vocabulary parse_vocabulary(std::string_view json, std::string_view where) {
  const Json root = Json::parse(json, where);
  try {
    return read_vocabulary(root);
  } catch (const Error& error) {
    fail(error.kind(), where, ": ", error.what());
  }
}

}  // namespace gristmill::tokenizer

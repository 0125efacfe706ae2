#include "tokenizer/tokenizer.hpp"

#include <algorithm>
#include <filesystem>
#include <mutex>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/hash.hpp"
#include "base/str.hpp"
#include "tokenizer/encoder.hpp"
#include "tokenizer/vocabulary.hpp"

namespace gristmill::tokenizer {
namespace {

constexpr uint64_t kMaxFileBytes = uint64_t{256} << 20;
// What families call the token that ends a document, in the order of preference.
constexpr std::string_view kEndOfTextNames[] = {kEndOfText, "<|end_of_text|>", "</s>", "<eos>"};

EncodingTables make_tables(const Vocabulary& vocabulary) {
  EncodingTables tables{MergeTable(vocabulary.merges.size()), vocabulary.byte_ids, {}};
  for (size_t rank = 0; rank < vocabulary.merges.size(); ++rank) {
    const MergeRule& rule = vocabulary.merges[rank];
    if (!tables.merges.insert(rule.left, rule.right, {static_cast<uint32_t>(rank), rule.result})) {
      fail(Kind::input, "model.merges[", rank, "] repeats an earlier pair");
    }
  }
  if (vocabulary.ignore_merges) {
    std::vector<bool> added(vocabulary.tokens.size());
    for (const AddedToken& token : vocabulary.added) added[token.id] = true;
    for (uint32_t id = 0; id < vocabulary.tokens.size(); ++id) {
      if (!added[id]) tables.whole_pieces.emplace(vocabulary.tokens[id], id);
    }
  }
  return tables;
}

}  // namespace

struct Tokenizer::State {
  State(Vocabulary from, std::string_view text)
      : vocabulary(std::move(from)), tables(make_tables(vocabulary)), json(text), hash(xxh128_hex(text)) {
    special.resize(vocabulary.tokens.size());
    for (const AddedToken& token : vocabulary.added) special[token.id] = token.special;
  }

  Vocabulary vocabulary;
  EncodingTables tables;
  std::vector<bool> special;
  std::string json, hash;

  // Encoders that no call is using: each has a cache worth keeping, and serves one thread at a time.
  mutable std::mutex mutex;
  mutable std::vector<std::unique_ptr<Encoder>> idle;
};

Tokenizer Tokenizer::load(const std::string& path) {
  std::string file = path;
  if (std::filesystem::is_directory(path)) file = (std::filesystem::path(path) / "tokenizer.json").string();
  return parse(read_file(file, kMaxFileBytes), file);
}

Tokenizer Tokenizer::parse(std::string_view json, std::string_view where) {
  Vocabulary vocabulary = parse_vocabulary(json, where);
  try {
    return Tokenizer(std::make_shared<const State>(std::move(vocabulary), json));
  } catch (const Error& error) {
    fail(error.kind(), where, ": ", error.what());
  }
}

std::vector<uint32_t> Tokenizer::encode(std::string_view text) const {
  std::vector<uint32_t> ids;
  encode(text, ids);
  return ids;
}

void Tokenizer::encode(std::string_view text, std::vector<uint32_t>& ids) const {
  std::unique_ptr<Encoder> encoder;
  {
    const std::scoped_lock lock(state_->mutex);
    if (!state_->idle.empty()) {
      encoder = std::move(state_->idle.back());
      state_->idle.pop_back();
    }
  }
  if (encoder == nullptr) encoder = std::make_unique<Encoder>(state_->tables);
  encoder->encode(text, ids);
  const std::scoped_lock lock(state_->mutex);
  state_->idle.push_back(std::move(encoder));
}

std::string Tokenizer::decode(std::span<const uint32_t> ids, bool skip_special) const {
  const std::vector<std::string>& tokens = state_->vocabulary.tokens;
  std::string text;
  text.reserve(ids.size() * 4);  // what a token of English comes to
  for (const uint32_t id : ids) {
    if (id >= tokens.size()) token_bytes(id);  // throws
    if (!skip_special || !state_->special[id]) text += tokens[id];
  }
  return text;
}

std::string_view Tokenizer::token_bytes(uint32_t id) const {
  if (id >= vocab_size()) {
    fail(Kind::input, "the id ", id, " is outside the tokenizer's vocabulary of ", vocab_size(),
         "; these ids were made with another tokenizer");
  }
  return state_->vocabulary.tokens[id];
}

uint32_t Tokenizer::vocab_size() const { return static_cast<uint32_t>(state_->vocabulary.tokens.size()); }

std::optional<uint32_t> Tokenizer::special(std::string_view content) const {
  for (const AddedToken& token : state_->vocabulary.added) {
    if (token.content == content) return token.id;
  }
  return std::nullopt;
}

bool Tokenizer::is_special(uint32_t id) const { return id < vocab_size() && state_->special[id]; }

std::vector<std::string> Tokenizer::specials() const {
  std::vector<std::string> contents;
  for (const AddedToken& token : state_->vocabulary.added) {
    if (token.special) contents.push_back(token.content);
  }
  return contents;
}

uint32_t Tokenizer::end_of_text() const {
  for (const std::string_view name : kEndOfTextNames) {
    if (const auto id = special(name)) return *id;
  }
  fail(Kind::input, "the tokenizer has no end-of-text token (", kEndOfText, "); train one with it");
}

const std::string& Tokenizer::hash() const { return state_->hash; }
const std::string& Tokenizer::json() const { return state_->json; }

}  // namespace gristmill::tokenizer

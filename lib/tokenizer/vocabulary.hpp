#pragma once

// What a tokenizer.json holds, read strictly and written as Hugging Face's `tokenizers` reads it (version
// "1.0"):
//
//   {"version":"1.0", "added_tokens":[{"id","content","special",…}], "pre_tokenizer":{"type":"ByteLevel",…},
//    "model":{"type":"BPE", "vocab":{spelt token: id}, "merges":[[left, right],…]}, …}
//
// Merges are written as pairs and read as pairs or as "left right" strings (files before 2024). Tokens are
// spelt in GPT-2's byte alphabet (byte_alphabet.hpp); an added token is its content as it stands.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace gristmill::tokenizer {

struct AddedToken {
  uint32_t id;
  std::string content;
  bool special;
};

struct MergeRule {
  uint32_t left, right, result;
};

/// A byte-level BPE: ids are 0 … tokens.size() - 1, all 256 bytes are among the tokens, and no merge makes a
/// special token.
struct Vocabulary {
  std::vector<std::string> tokens;  ///< bytes by id
  std::vector<AddedToken> added;    ///< ascending by id
  std::vector<MergeRule> merges;    ///< by rank
  std::vector<uint32_t> byte_ids;   ///< id of each byte
  bool ignore_merges = false;       ///< a piece that is a token is that token, whatever the merges say
};

/// Error{input}, starting with `where`, for anything that is damaged, inconsistent or outside what this
/// tokenizer does (another model, a normalizer, another pattern).
Vocabulary parse_vocabulary(std::string_view json, std::string_view where);

/// The text of a tokenizer.json with GPT-2's pattern.
std::string to_tokenizer_json(const Vocabulary& vocabulary);

}  // namespace gristmill::tokenizer

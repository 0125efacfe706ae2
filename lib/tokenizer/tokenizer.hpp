#pragma once

// Byte-level BPE (Sennrich et al. 2016, over bytes as in GPT-2): text ↔ token ids, from and to Hugging Face's
// tokenizer.json. Text is cut into pieces by GPT-2's pattern (pretokenizer.hpp); within a piece the adjacent
// pair of lowest merge rank, leftmost on ties, is joined until none is left. Any byte string, malformed UTF-8
// included, comes back exactly from decode(encode(x)).
//
// There are two ways in, on purpose: encode() takes text, where a literal "<|im_end|>" is eleven ordinary
// bytes; special ids are only ever placed by code that asks for them by name (special(), the chat template,
// the shard writer). No text can forge one.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gristmill::tokenizer {

// The special tokens that tokenize-train adds: four distinct roles, four distinct ids.
inline constexpr std::string_view kEndOfText =
    "<|endoftext|>";  ///< begins every document; end of a completion
inline constexpr std::string_view kTurnStart = "<|im_start|>";  ///< begins a turn of a chat
inline constexpr std::string_view kTurnEnd = "<|im_end|>";      ///< ends a turn: a chat model's stop token
inline constexpr std::string_view kPad = "<|pad|>";  ///< fills rows; never learned, never generated

/// An immutable tokenizer; copies share it. All members may be called from several threads at once.
class Tokenizer {
 public:
  /// Reads a tokenizer.json, or the one in a model directory. Error{input} for what is damaged or not
  /// byte-level BPE with GPT-2's pattern, with the place in the file.
  static Tokenizer load(const std::string& path);
  /// The same from memory; `where` starts error messages.
  static Tokenizer parse(std::string_view json, std::string_view where);

  /// Ids of ordinary text: literal special tokens in it are plain bytes. O(n log n) in the longest piece,
  /// linear otherwise.
  std::vector<uint32_t> encode(std::string_view text) const;
  /// Appends to `ids`.
  void encode(std::string_view text, std::vector<uint32_t>& ids) const;

  /// The bytes of the tokens behind each other, which need not be valid UTF-8. An id outside the vocabulary
  /// is Error{input}.
  std::string decode(std::span<const uint32_t> ids, bool skip_special = false) const;
  /// One token's bytes; valid as long as any copy of this tokenizer. Error{input} outside the vocabulary.
  std::string_view token_bytes(uint32_t id) const;

  /// Number of ids, special ones included; they run from 0 without gaps.
  uint32_t vocab_size() const;
  /// The id of an added token by its exact content ("<|im_end|>").
  std::optional<uint32_t> special(std::string_view content) const;
  bool is_special(uint32_t id) const;
  /// Contents of the special tokens, ascending by id.
  std::vector<std::string> specials() const;
  /// The id that begins documents and ends completions: <|endoftext|>, or what other families call it
  /// (<|end_of_text|>, </s>, <eos>). Error{input} if the tokenizer has none.
  uint32_t end_of_text() const;

  /// xxh128_hex of the file's bytes: what token shards and checkpoints name.
  const std::string& hash() const;
  /// The file itself, to copy into model directories.
  const std::string& json() const;

  struct State;

 private:
  explicit Tokenizer(std::shared_ptr<const State> state) : state_(std::move(state)) {}
  std::shared_ptr<const State> state_;
};

/// Turns ids into text as they come, never splitting a character: bytes that may be the beginning of a UTF-8
/// character (at most three) are held back until it is whole or cannot become one. The concatenation of all
/// results is decode()'s.
class StreamDecoder {
 public:
  explicit StreamDecoder(Tokenizer tokenizer, bool skip_special = true)
      : tokenizer_(std::move(tokenizer)), skip_special_(skip_special) {}
  /// The text that became certain with this id; often empty for a part of a character.
  std::string push(uint32_t id);
  /// What was held back; call at the end.
  std::string finish();

 private:
  Tokenizer tokenizer_;
  bool skip_special_;
  std::string held_;
};

/// The text of tokenizer_config.json for a model directory: PreTrainedTokenizerFast, end-of-text as beginning
/// and end, the pad token, and where the chat specials are there, ChatML as a Jinja template.
std::string tokenizer_config_json(const Tokenizer& tokenizer);

}  // namespace gristmill::tokenizer

#pragma once

// Token shards: ids of documents behind each other, each document starting with the end-of-text id, with the
// document starts in the index and the tokenizer named by hash in the header.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/json.hpp"

namespace gristmill::shard {

struct TokenShardInfo {
  std::string tokenizer_hash;  ///< xxh128_hex of tokenizer.json's bytes
  uint64_t vocab_size = 0;
  uint32_t end_of_text = 0;
};

class TokenWriter {
 public:
  TokenWriter(const std::string& path, const TokenShardInfo& info, const Json& options, uint64_t seed,
              int threads);
  ~TokenWriter();
  /// Appends a document's ids; the end-of-text id is put in front here.
  void write(std::span<const uint32_t> ids);
  void close(const Json& provenance);
  uint64_t tokens_written() const;
  uint64_t bytes_written() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// All tokens of a list of token shards, in memory (2 or 4 bytes each), as one sequence.
struct TokenSet {
  TokenShardInfo info;
  std::vector<uint32_t> ids;
  std::vector<uint64_t> document_starts;  ///< ascending; ids.size() is the implied end of the last
  std::string digest;                     ///< names the content, for checkpoints
};

/// Reads token shards ("-" allowed). Shards of different tokenizers together are Error{input};
/// `expected_hash`, unless empty, must be theirs. An id outside the vocabulary is Error{input}.
TokenSet read_tokens(const std::vector<std::string>& paths, const std::string& expected_hash = "");

}  // namespace gristmill::shard

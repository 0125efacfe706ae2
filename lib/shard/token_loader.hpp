#pragma once

// Ids and document starts from the decoded pieces of token shards. Private to lib/shard.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "shard/decoder.hpp"
#include "shard/tokens.hpp"

namespace gristmill::shard {

/// Bytes of an id: 2 up to 65,536 entries, else 4.
inline size_t width_of(const TokenShardInfo& info) { return info.vocab_size <= 65536 ? 2 : 4; }

/// Appends shards to a TokenSet, one behind the other. All checks of ids and index are here.
class TokenLoader {
 public:
  /// `expected_hash` unless empty must be each shard's tokenizer.
  TokenLoader(std::string expected_hash, TokenSet& set) : expected_(std::move(expected_hash)), set_(set) {}

  /// A piece of a shard with this header; `name` is the file's, for messages.
  void append(const std::optional<Header>& header, std::string_view chunk, const std::string& name);
  /// The end of a shard: checks the index and adds the document starts.
  void finish(const Segment& segment, const std::string& name);

 private:
  void start(const std::optional<Header>& header, const std::string& name);
  void append_ids(std::string_view bytes, const std::string& name);

  std::string expected_;
  TokenSet& set_;
  bool any_ = false, started_ = false;
  size_t width_ = 2, first_ = 0;
  std::string held_;  ///< the bytes of an id that the end of a piece has cut
};

}  // namespace gristmill::shard

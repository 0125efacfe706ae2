#pragma once

// Text to ids: pieces by the pattern, a cache for short ones, the merges for the rest.

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tokenizer/merges.hpp"

namespace gristmill::tokenizer {

/// What encoding needs of a vocabulary.
struct EncodingTables {
  MergeTable merges;
  std::vector<uint32_t> byte_ids;  ///< 256
  /// Whole pieces that are tokens whatever the merges say ("ignore_merges" in the file); otherwise empty.
  std::unordered_map<std::string, uint32_t> whole_pieces;
};

/// Encodes on one thread; the ids do not depend on what it encoded before. Natural text repeats its words:
/// 2^16 direct-mapped slots of 32 bytes answer over nine in ten, and stay in the second-level cache.
class Encoder {
 public:
  explicit Encoder(const EncodingTables& tables);
  /// Appends the ids of ordinary text.
  void encode(std::string_view text, std::vector<uint32_t>& ids);

 private:
  static constexpr size_t kMaxKeyBytes = 15;
  static constexpr size_t kMaxCachedIds = 3;
  struct Key {  // a piece's bytes, zero-filled, and its length in the last byte: no piece has the length 0
    uint64_t low = 0, high = 0;
    friend bool operator==(const Key&, const Key&) = default;
  };
  struct Slot {
    Key key;
    uint32_t ids[kMaxCachedIds] = {0, 0, 0};
    uint32_t count = 0;
  };
  static Key key_of(std::string_view text, size_t begin, size_t length);
  void encode_piece(std::string_view piece, std::vector<uint32_t>& ids);
  /// The slot with a short piece's ids; null if they are too many for one and stand in spilled_.
  const Slot* look_up(std::string_view text, size_t begin, size_t length);

  const EncodingTables& tables_;
  PieceMerger merger_;
  std::vector<Slot> cache_;
  std::vector<uint32_t> spilled_;  // of the piece looked up last
};

}  // namespace gristmill::tokenizer

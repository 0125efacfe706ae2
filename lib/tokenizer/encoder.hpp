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
  struct Slot {
    uint64_t key[2] = {
        0, 0};  // the piece's bytes, zero-filled, its length in the last byte; no piece has the length 0
    uint32_t ids[kMaxCachedIds] = {0, 0, 0};
    uint32_t count = 0;
  };
  void encode_piece(std::string_view piece, std::vector<uint32_t>& ids);
  void encode_cached(std::string_view text, size_t begin, size_t length, std::vector<uint32_t>& ids);

  const EncodingTables& tables_;
  PieceMerger merger_;
  std::vector<Slot> cache_;
};

}  // namespace gristmill::tokenizer

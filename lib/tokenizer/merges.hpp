#pragma once

// The merges of a BPE as a flat hash table, and their application to one piece: an array with ranks for short
// pieces, a heap over a linked list for long ones, so that no input costs more than O(n log n).

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace gristmill::tokenizer {

/// Pair of ids → rank (place in the list of merges; lower is earlier) and resulting id.
class MergeTable {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;
  struct Merge {
    uint32_t rank = kNone;
    uint32_t id = kNone;
  };

  explicit MergeTable(size_t merges = 0);
  /// False (and no change) if the pair is there already. At most as many as the constructor was told.
  bool insert(uint32_t left, uint32_t right, Merge merge);
  /// rank kNone if the pair does not merge.
  Merge find(uint32_t left, uint32_t right) const {
    const uint64_t key = key_of(left, right);
    for (size_t at = slot_of(key);; at = (at + 1) & mask_) {
      if (slots_[at].key == key) return slots_[at].merge;
      if (slots_[at].key == kEmpty) return {};
    }
  }

 private:
  static constexpr uint64_t kEmpty = UINT64_MAX;
  struct Slot {
    uint64_t key = kEmpty;
    Merge merge;
  };
  static uint64_t key_of(uint32_t left, uint32_t right) { return (uint64_t{left} << 32) | right; }
  size_t slot_of(uint64_t key) const { return static_cast<size_t>((key * 0x9E3779B97F4A7C15U) >> shift_); }

  std::vector<Slot> slots_;
  size_t mask_;
  int shift_;
};

/// Applies merges to single pieces. Holds scratch memory: one a thread.
class PieceMerger {
 public:
  /// Both must outlive this object; `byte_ids` are the 256 ids of the single bytes.
  PieceMerger(const MergeTable& merges, const uint32_t* byte_ids) : merges_(merges), byte_ids_(byte_ids) {}
  /// Appends the ids of one piece: always the adjacent pair of lowest rank, leftmost on ties, until none
  /// merges.
  void encode(std::string_view piece, std::vector<uint32_t>& ids);

 private:
  struct Candidate {
    uint32_t rank, position, left, right;
  };
  struct Symbol {
    uint32_t id, previous, next;
  };
  void encode_short(std::string_view piece, std::vector<uint32_t>& ids) const;
  void encode_long(std::string_view piece, std::vector<uint32_t>& ids);
  bool append_candidate(uint32_t left_position);
  void push_candidate(uint32_t left_position);

  const MergeTable& merges_;
  const uint32_t* byte_ids_;
  std::vector<Symbol> symbols_;
  std::vector<Candidate> heap_;
};

}  // namespace gristmill::tokenizer

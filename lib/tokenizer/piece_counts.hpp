#pragma once

// How often each piece occurs: open addressing over an arena of bytes, for counting hundreds of megabytes of
// text.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace gristmill::tokenizer {

class PieceCounts {
 public:
  PieceCounts() : slots_(kFirstSlots) {}
  /// Counts a piece of at least one byte.
  void add(std::string_view piece, uint64_t count = 1);
  void add(const PieceCounts& other);
  size_t size() const { return size_; }

  /// Calls visit(piece, count) for every distinct piece, in no order that anything may depend on.
  template <class Visit>
  void for_each(const Visit& visit) const {
    for (const Slot& slot : slots_) {
      if (slot.count > 0) visit(bytes(slot), slot.count);
    }
  }

 private:
  static constexpr size_t kFirstSlots = size_t{1} << 12;
  struct Slot {
    uint64_t offset = 0;  // into arena_
    uint64_t count = 0;   // 0: free
    uint32_t length = 0;
    uint32_t tag = 0;  // low half of the hash: most other pieces are told apart without reading their bytes
  };
  std::string_view bytes(const Slot& slot) const {
    return std::string_view(arena_).substr(slot.offset, slot.length);
  }
  void grow();

  std::vector<Slot> slots_;  // a power of two of them, at most half in use
  std::string arena_;
  size_t size_ = 0;
};

}  // namespace gristmill::tokenizer

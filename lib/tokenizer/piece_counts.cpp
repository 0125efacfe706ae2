#include "tokenizer/piece_counts.hpp"

#include <utility>

#include "base/error.hpp"
#include "base/hash.hpp"

namespace gristmill::tokenizer {

void PieceCounts::add(std::string_view piece, uint64_t count) {
  if (piece.size() > UINT32_MAX)
    fail(Kind::input, "a word of 4 GiB without a place to cut it; split the document");
  const uint64_t hash = xxh3(piece);
  const auto tag = static_cast<uint32_t>(hash);
  const size_t mask = slots_.size() - 1;
  size_t at = static_cast<size_t>(hash >> 32) & mask;
  for (; slots_[at].count > 0; at = (at + 1) & mask) {
    Slot& slot = slots_[at];
    if (slot.tag == tag && bytes(slot) == piece) {
      slot.count += count;
      return;
    }
  }
  slots_[at] = {arena_.size(), count, static_cast<uint32_t>(piece.size()), tag};
  arena_ += piece;
  if (++size_ * 2 > slots_.size()) grow();
}

void PieceCounts::add(const PieceCounts& other) {
  other.for_each([&](std::string_view piece, uint64_t count) { add(piece, count); });
}

void PieceCounts::grow() {
  std::vector<Slot> old(slots_.size() * 2);
  old.swap(slots_);
  const size_t mask = slots_.size() - 1;
  for (const Slot& slot : old) {
    if (slot.count == 0) continue;
    size_t at = static_cast<size_t>(xxh3(bytes(slot)) >> 32) & mask;
    while (slots_[at].count > 0) at = (at + 1) & mask;
    slots_[at] = slot;
  }
}

}  // namespace gristmill::tokenizer

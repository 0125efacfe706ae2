#include "tokenizer/merges.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "base/error.hpp"

namespace gristmill::tokenizer {
namespace {

constexpr size_t kShortPiece = 48;  // above it the heap's overhead pays; either way gives the same ids
constexpr uint32_t kEnd = UINT32_MAX;

}  // namespace

MergeTable::MergeTable(size_t merges) {
  const size_t capacity = std::bit_ceil(std::max<size_t>(merges * 2, 16));
  slots_.resize(capacity);
  mask_ = capacity - 1;
  shift_ = 64 - std::countr_zero(capacity);
}

bool MergeTable::insert(uint32_t left, uint32_t right, Merge merge) {
  const uint64_t key = key_of(left, right);
  size_t at = slot_of(key);
  while (slots_[at].key != kEmpty) {
    if (slots_[at].key == key) return false;
    at = (at + 1) & mask_;
  }
  slots_[at] = {key, merge};
  return true;
}

void PieceMerger::encode(std::string_view piece, std::vector<uint32_t>& ids) {
  if (piece.size() == 1) {
    ids.push_back(byte_ids_[static_cast<unsigned char>(piece[0])]);
  } else if (piece.size() <= kShortPiece) {
    encode_short(piece, ids);
  } else {
    encode_long(piece, ids);
  }
}

void PieceMerger::encode_short(std::string_view piece, std::vector<uint32_t>& ids) const {
  std::array<uint32_t, kShortPiece> symbols;
  std::array<MergeTable::Merge, kShortPiece> merges;  // of symbol i with symbol i + 1
  size_t count = piece.size();
  for (size_t i = 0; i < count; ++i) symbols[i] = byte_ids_[static_cast<unsigned char>(piece[i])];
  for (size_t i = 0; i + 1 < count; ++i) merges[i] = merges_.find(symbols[i], symbols[i + 1]);
  while (count > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < count; ++i) {
      if (merges[i].rank < merges[best].rank) best = i;
    }
    if (merges[best].rank == MergeTable::kNone) break;
    symbols[best] = merges[best].id;
    --count;
    std::memmove(&symbols[best + 1], &symbols[best + 2], (count - best - 1) * sizeof(symbols[0]));
    if (best + 1 < count) {
      std::memmove(&merges[best + 1], &merges[best + 2], (count - best - 2) * sizeof(merges[0]));
      merges[best] = merges_.find(symbols[best], symbols[best + 1]);
    }
    if (best > 0) merges[best - 1] = merges_.find(symbols[best - 1], symbols[best]);
  }
  ids.insert(ids.end(), symbols.begin(), symbols.begin() + static_cast<std::ptrdiff_t>(count));
}

namespace {

// std::push_heap keeps the largest in front: lowest rank, then leftmost.
constexpr auto kLater = [](const auto& a, const auto& b) {
  return a.rank != b.rank ? a.rank > b.rank : a.position > b.position;
};

}  // namespace

bool PieceMerger::append_candidate(uint32_t left_position) {
  const Symbol& left = symbols_[left_position];
  if (left.next == kEnd) return false;
  const uint32_t right = symbols_[left.next].id;
  const auto merge = merges_.find(left.id, right);
  if (merge.rank == MergeTable::kNone) return false;
  heap_.push_back({merge.rank, left_position, left.id, right});
  return true;
}

void PieceMerger::push_candidate(uint32_t left_position) {
  if (append_candidate(left_position)) std::push_heap(heap_.begin(), heap_.end(), kLater);
}

void PieceMerger::encode_long(std::string_view piece, std::vector<uint32_t>& ids) {
  if (piece.size() >= kEnd)
    fail(Kind::input, "a word of 4 GiB without a place to cut it; split the document");
  const auto size = static_cast<uint32_t>(piece.size());
  symbols_.resize(size);
  heap_.clear();
  for (uint32_t i = 0; i < size; ++i) {
    symbols_[i] = {byte_ids_[static_cast<unsigned char>(piece[i])], i == 0 ? kEnd : i - 1,
                   i + 1 == size ? kEnd : i + 1};
  }
  for (uint32_t i = 0; i < size; ++i) append_candidate(i);
  std::make_heap(heap_.begin(), heap_.end(), kLater);
  while (!heap_.empty()) {
    std::pop_heap(heap_.begin(), heap_.end(), kLater);
    const Candidate candidate = heap_.back();
    heap_.pop_back();
    Symbol& left = symbols_[candidate.position];
    // Stale if either side was merged since: an absorbed symbol has the id kEnd, a grown one another id.
    if (left.id != candidate.left || left.next == kEnd || symbols_[left.next].id != candidate.right) continue;
    Symbol& right = symbols_[left.next];
    left.id = merges_.find(candidate.left, candidate.right).id;
    left.next = right.next;
    right.id = kEnd;
    if (left.next != kEnd) symbols_[left.next].previous = candidate.position;
    push_candidate(candidate.position);
    if (left.previous != kEnd) push_candidate(left.previous);
  }
  for (uint32_t i = 0; i != kEnd; i = symbols_[i].next) ids.push_back(symbols_[i].id);
}

}  // namespace gristmill::tokenizer

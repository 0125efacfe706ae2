#include "cuda/memory_arena.hpp"

#include <algorithm>
#include <iterator>

#include "base/error.hpp"
#include "base/str.hpp"

namespace gristmill::runtime::cuda {

namespace {

constexpr size_t kAlignment = 256, kChunk = size_t{64} << 20, kLargeAbove = kChunk / 2,
                 kDriverStep = size_t{2} << 20;  // what a driver gives out at least
/// Behind each piece where accesses are watched.
constexpr size_t kGap = 4096;

size_t rounded(size_t size, size_t step) { return (size + step - 1) / step * step; }

DevicePointer address_of(const void* memory) { return reinterpret_cast<DevicePointer>(memory); }

}  // namespace

MemoryArena::MemoryArena(const Driver& driver, Stream stream, bool pooled)
    : driver_(driver), stream_(stream), pooled_(pooled) {}

MemoryArena::~MemoryArena() {
  for (const auto& [begin, chunk] : chunks_) {
    try {
      driver_.memory_free(begin);
    } catch (const Error&) {
      continue;  // the GPU was lost before, and whoever waited for it knows
    }
  }
}

void* MemoryArena::allocate(size_t bytes) {
  void* memory = try_allocate(bytes);
  if (memory == nullptr) refuse(bytes);
  return memory;
}

void* MemoryArena::try_allocate(size_t bytes) {
  constexpr size_t kMost = size_t{1} << 60;
  if (bytes > kMost) return nullptr;
  const size_t gap = driver_.show_async == nullptr ? 0 : kGap;
  const size_t size = rounded(std::max<size_t>(bytes, 1) + gap, kAlignment);
  const bool large = size > kLargeAbove;
  DevicePointer begin = take(size, large);
  if (begin == 0 && add_chunk(size, large)) begin = take(size, large);
  if (begin == 0) {
    give_back();
    if (add_chunk_of(size, large)) begin = take(size, large);
  }
  if (begin == 0) begin = take(size, !large);
  if (begin == 0) return nullptr;
  if (driver_.show_async != nullptr) {
    check(driver_, driver_.show_async(begin, bytes, stream_), "showing memory");
  }
  return reinterpret_cast<void*>(begin);
}

void MemoryArena::release(void* memory) {
  const auto piece = pieces_.find(address_of(memory));
  if (piece == pieces_.end() || piece->second.is_free) {
    fail(Kind::internal, "memory of the GPU is given back that was not handed out");
  }
  const DevicePointer begin = piece->first;
  set_free(piece, true);
  const auto whole = joined(piece);
  if (driver_.hide_async != nullptr) check(driver_, driver_.hide_async(begin, stream_), "hiding memory");
  if (pooled_) return;
  const Status status = driver_.stream_synchronize(stream_);
  drop_chunk(chunks_.find(whole->first));
  check(driver_, status, "waiting for the GPU");
}

void MemoryArena::renew(void* memory, size_t bytes) {
  if (driver_.show_async == nullptr) return;
  check(driver_, driver_.show_async(address_of(memory), bytes, stream_), "showing memory");
}

size_t MemoryArena::largest_free() const {
  size_t largest = 0;
  for (const auto& kind : free_) largest = std::max(largest, kind.empty() ? 0 : kind.rbegin()->first);
  return largest;
}

void MemoryArena::give_back() {
  bool waited = false;
  for (auto chunk = chunks_.begin(); chunk != chunks_.end();) {
    const auto here = chunk++;
    const Piece& first = pieces_.at(here->first);
    if (!first.is_free || first.size != here->second.size) continue;
    if (!waited) check(driver_, driver_.stream_synchronize(stream_), "waiting for the GPU");
    waited = true;
    drop_chunk(here);
  }
}

DevicePointer MemoryArena::take(size_t size, bool large) {
  auto& kind = free_[large ? 1 : 0];
  const auto best = kind.lower_bound({size, 0});
  if (best == kind.end()) return 0;
  const auto piece = pieces_.find(best->second);
  set_free(piece, false);
  const size_t left = piece->second.size - size;
  if (left > 0) {
    piece->second.size = size;
    set_free(pieces_.emplace(piece->first + size, Piece{left, false, piece->second.large}).first, true);
  }
  return piece->first;
}

bool MemoryArena::add_chunk(size_t size, bool large) {
  return (pooled_ && !large && add_chunk_of(kChunk, large)) || add_chunk_of(size, large);
}

bool MemoryArena::add_chunk_of(size_t size, bool large) {
  const size_t bytes = pooled_ ? rounded(size, kDriverStep) : size;
  DevicePointer begin = 0;
  const Status status = driver_.memory_allocate(&begin, bytes);
  if (status == kOutOfMemory) return false;
  check(driver_, status, "allocating memory of the GPU");
  if (driver_.hide_async != nullptr) check(driver_, driver_.hide_async(begin, stream_), "hiding memory");
  chunks_[begin] = {bytes, large};
  set_free(pieces_.emplace(begin, Piece{bytes, false, large}).first, true);
  return true;
}

void MemoryArena::set_free(Pieces::iterator piece, bool is_free) {
  auto& kind = free_[piece->second.large ? 1 : 0];
  const std::pair key(piece->second.size, piece->first);
  piece->second.is_free = is_free;
  if (is_free) {
    kind.insert(key);
    free_bytes_ += piece->second.size;
  } else {
    kind.erase(key);
    free_bytes_ -= piece->second.size;
  }
}

/// A free piece made one with its free neighbours in the same chunk.
MemoryArena::Pieces::iterator MemoryArena::joined(Pieces::iterator piece) {
  const auto follows = [&](Pieces::iterator next) {
    return next != pieces_.end() && next->second.is_free && chunks_.count(next->first) == 0;
  };
  if (follows(piece) && std::prev(piece)->second.is_free) --piece;
  for (auto next = std::next(piece); follows(next); next = std::next(piece)) {
    set_free(next, false);
    set_free(piece, false);
    piece->second.size += next->second.size;
    pieces_.erase(next);
    set_free(piece, true);
  }
  return piece;
}

/// Of a chunk that is one free piece.
void MemoryArena::drop_chunk(std::map<DevicePointer, Chunk>::iterator chunk) {
  const DevicePointer begin = chunk->first;
  const auto piece = pieces_.find(begin);
  set_free(piece, false);
  pieces_.erase(piece);
  chunks_.erase(chunk);
  check(driver_, driver_.memory_free(begin), "giving back memory of the GPU");
}

void MemoryArena::refuse(size_t bytes) const {
  size_t free = 0, total = 0;
  check(driver_, driver_.memory_info(&free, &total), "asking for the GPU's memory");
  fail(Kind::device, "the GPU has no ", format_bytes(bytes), " left: ", format_bytes(free + free_bytes_),
       " are free, of which ", format_bytes(free_bytes_), " in pieces of at most ",
       format_bytes(largest_free()), "; use smaller batches, a shorter context or a smaller model");
}

}  // namespace gristmill::runtime::cuda

#include "emulator/touches.hpp"

#include <algorithm>
#include <bit>
#include <tuple>
#include <utility>

namespace gristmill::emulator {
namespace {

constexpr size_t kCompactAbove = 1 << 16;
constexpr uint32_t kPageBits = 12, kAtomic = uint32_t{1} << 31, kSeveral = uint32_t{1} << 31;

}  // namespace

void TouchLog::begin_block(size_t instructions) {
  touches_.clear();
  last_.assign(instructions, 0);
  limit_ = kCompactAbove;
}

void TouchLog::push(uint64_t address, uint32_t bytes, uint32_t pc, uint32_t thread, TouchKind kind) {
  if (touches_.size() >= limit_) {
    compact();
    limit_ = std::max(kCompactAbove, touches_.size() * 2);
  }
  touches_.push_back({address, bytes, pc, static_cast<uint16_t>(thread), kind});
  last_[pc] = static_cast<uint32_t>(touches_.size());
}

void TouchLog::compact() {
  std::sort(touches_.begin(), touches_.end(), [](const Touch& a, const Touch& b) {
    return std::tie(a.pc, a.begin, a.bytes, a.thread) < std::tie(b.pc, b.begin, b.bytes, b.thread);
  });
  size_t kept = 0;
  for (size_t i = 0; i < touches_.size(); ++i) {
    const Touch& next = touches_[i];
    Touch* last = kept > 0 ? &touches_[kept - 1] : nullptr;
    const uint64_t end = last == nullptr ? 0 : next.begin + next.bytes - last->begin;
    if (last != nullptr && last->pc == next.pc && next.begin <= last->begin + last->bytes &&
        end <= kLongest) {
      last->bytes = std::max(last->bytes, static_cast<uint32_t>(end));
    } else {
      touches_[kept++] = next;
    }
  }
  touches_.resize(kept);
  std::fill(last_.begin(), last_.end(), 0);
}

std::vector<Touch> TouchLog::take() {
  compact();
  return std::move(touches_);
}

TouchTable::TouchTable(uint32_t granule) : shift_(static_cast<uint32_t>(std::countr_zero(granule))) {}

TouchTable::Cell* TouchTable::page(uint64_t number) {
  if (number == last_page_) return last_cells_;
  auto& cells = pages_[number];
  if (cells == nullptr) cells = std::make_unique<Cell[]>(size_t{1} << (kPageBits - shift_));
  last_page_ = number;
  return last_cells_ = cells.get();
}

uint32_t TouchTable::touch(Cell& cell, uint32_t block, TouchKind kind) {
  const uint32_t me = block + 1, writer = cell.writer & ~kAtomic;
  const bool written_atomically = (cell.writer & kAtomic) != 0;
  uint32_t other = UINT32_MAX;
  if (kind == TouchKind::read) {
    if (writer != 0 && writer != me) other = writer - 1;
    const bool several = cell.reader != 0 && cell.reader != me;
    cell.reader = several ? cell.reader | kSeveral : me;
    return other;
  }
  const bool atomic = kind == TouchKind::atomic;
  if (writer != 0 && writer != me && !(atomic && written_atomically)) other = writer - 1;
  if (cell.reader != 0 && cell.reader != me) other = (cell.reader & ~kSeveral) - 1;
  // A plain write of this block stays known beside its atomic ones.
  if (!(atomic && writer == me && !written_atomically)) cell.writer = me | (atomic ? kAtomic : 0);
  return other;
}

std::vector<TouchTable::Race> TouchTable::add(const std::vector<Touch>& touches, uint32_t block) {
  std::vector<Race> races;
  for (const Touch& range : touches) {
    const uint64_t last = (range.begin + range.bytes - 1) >> shift_;
    for (uint64_t piece = range.begin >> shift_; piece <= last; ++piece) {
      const uint64_t address = piece << shift_;
      Cell& cell = page(address >> kPageBits)[piece & ((uint64_t{1} << (kPageBits - shift_)) - 1)];
      const uint32_t other = touch(cell, block, range.kind);
      if (other == UINT32_MAX) continue;
      if (races.empty() || races.back().touch.pc != range.pc) {
        races.push_back({range, std::max(address, range.begin), other, 0});
      }
      ++races.back().count;
    }
  }
  return races;
}

}  // namespace gristmill::emulator

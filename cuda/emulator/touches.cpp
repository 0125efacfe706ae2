#include "emulator/touches.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <tuple>
#include <utility>

namespace gristmill::emulator {
namespace {

constexpr size_t kCompactAbove = 1 << 16;
constexpr uint32_t kPageBits = 12, kAtomic = uint32_t{1} << 31, kSeveral = uint32_t{1} << 30;

/// Makes one of ranges of the same instruction, perhaps only of the same warp, that overlap or follow each
/// other.
void merge(std::vector<Touch>& touches, bool by_warp) {
  const auto warp = [&](const Touch& touch) { return by_warp ? touch.thread / 32 : 0; };
  std::sort(touches.begin(), touches.end(), [&](const Touch& a, const Touch& b) {
    return std::tuple(a.pc, warp(a), a.begin, a.bytes, a.thread) <
           std::tuple(b.pc, warp(b), b.begin, b.bytes, b.thread);
  });
  size_t kept = 0;
  for (size_t i = 0; i < touches.size(); ++i) {
    const Touch next = touches[i];
    Touch* last = kept > 0 ? &touches[kept - 1] : nullptr;
    const bool same = last != nullptr && last->pc == next.pc && warp(*last) == warp(next);
    const uint64_t end = same ? next.begin + next.bytes - last->begin : 0;
    if (same && next.begin <= last->begin + last->bytes && end <= kLongestTouch) {
      last->bytes = std::max(last->bytes, static_cast<uint32_t>(end));
    } else {
      touches[kept++] = next;
    }
  }
  touches.resize(kept);
}

/// Goes over ranges by their beginnings and finds those that overlap an earlier one of another warp. Of each
/// kind it is enough to know the range that reaches furthest, and the furthest of any other warp.
class Sweep {
 public:
  /// A range before that is in conflict with this one, or null.
  const Touch* next(const Touch& touch) {
    const Touch* other = nullptr;
    for (const Use kind : {Use::read, Use::write, Use::atomic}) {
      const bool harmless = kind == touch.kind && kind != Use::write;
      for (const Touch& before : furthest_[static_cast<size_t>(kind)]) {
        const bool overlaps =
            before.begin + before.bytes > touch.begin && before.thread / 32 != touch.thread / 32;
        if (!harmless && overlaps) other = &before;
      }
    }
    found_ = other == nullptr ? Touch{} : *other;
    remember(touch);
    return other == nullptr ? nullptr : &found_;
  }

 private:
  void remember(const Touch& touch) {
    auto& [first, second] = furthest_[static_cast<size_t>(touch.kind)];
    const auto end = [](const Touch& t) { return t.begin + t.bytes; };
    const auto same_warp = [](const Touch& a, const Touch& b) { return a.thread / 32 == b.thread / 32; };
    if (same_warp(first, touch)) {
      if (end(touch) > end(first)) first = touch;
    } else if (end(touch) > end(first)) {
      second = first;
      first = touch;
    } else if (end(touch) > end(second)) {
      second = touch;
    }
  }
  std::array<std::array<Touch, 2>, 3> furthest_ = {};
  Touch found_;
};

}  // namespace

void TouchLog::begin_block(size_t instructions) {
  touches_.clear();
  last_.assign(instructions, 0);
  current_ = 0;
  wrote_ = false;
  limit_ = kCompactAbove;
}

void TouchLog::push(uint64_t address, uint32_t bytes, uint32_t pc, uint32_t thread, Use kind) {
  if (touches_.size() >= limit_) {
    compact();
    limit_ = std::max(kCompactAbove, touches_.size() * 2);
  }
  touches_.push_back({address, bytes, pc, static_cast<uint16_t>(thread), kind});
  last_[pc] = static_cast<uint32_t>(touches_.size());
}

std::vector<TouchLog::Conflict> TouchLog::barrier() {
  std::vector<Conflict> conflicts;
  if (wrote_) {
    std::vector<Touch> since(touches_.begin() + static_cast<std::ptrdiff_t>(current_), touches_.end());
    std::sort(since.begin(), since.end(), [](const Touch& a, const Touch& b) {
      return std::tie(a.begin, a.pc, a.bytes, a.thread) < std::tie(b.begin, b.pc, b.bytes, b.thread);
    });
    Sweep sweep;
    for (const Touch& touch : since) {
      if (const Touch* other = sweep.next(touch)) conflicts.push_back({touch, touch.begin, other->thread});
    }
  }
  current_ = touches_.size();
  wrote_ = false;
  return conflicts;
}

void TouchLog::compact() {
  const auto middle = touches_.begin() + static_cast<std::ptrdiff_t>(current_);
  std::vector<Touch> since(middle, touches_.end());
  touches_.erase(middle, touches_.end());
  merge(touches_, false);
  merge(since, true);
  current_ = touches_.size();
  touches_.insert(touches_.end(), since.begin(), since.end());
  std::fill(last_.begin(), last_.end(), 0);
}

std::vector<Touch> TouchLog::take() {
  current_ = touches_.size();
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

uint32_t TouchTable::touch(Cell& cell, uint32_t block, Use kind) {
  const uint32_t me = block + 1, writer = cell.writer & ~(kAtomic | kSeveral),
                 reader = cell.reader & ~kSeveral;
  const bool written_atomically = (cell.writer & kAtomic) != 0;
  const bool other_writer = writer != 0 && (writer != me || (cell.writer & kSeveral) != 0);
  const bool other_reader = reader != 0 && (reader != me || (cell.reader & kSeveral) != 0);
  if (kind == Use::read) {
    cell.reader = other_reader ? cell.reader | kSeveral : me;
    return other_writer ? writer - 1 : UINT32_MAX;
  }
  const bool atomic = kind == Use::atomic;
  if (!atomic) {
    cell.writer = me;
  } else if (writer != me ||
             written_atomically) {  // a plain write of this block stays known beside its atomic ones
    cell.writer = me | kAtomic | (other_writer && written_atomically ? kSeveral : 0);
  }
  if (other_writer && !(atomic && written_atomically)) return writer - 1;
  return other_reader ? reader - 1 : UINT32_MAX;
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

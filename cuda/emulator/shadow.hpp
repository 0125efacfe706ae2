#pragma once

// What is known of each piece of a block's shared memory: who wrote and read it last, and when.
//
// Time is counted in stamps: each barrier of the block and each synchronisation of a warp begins a new one.
// Two accesses of different warps are ordered if a barrier lies between them, two of lanes of one warp also
// if a synchronisation of that warp does; a pair that is not ordered, of which one writes and which are not
// both atomic is a race, whichever came first in this run. A synchronisation of some lanes of a warp orders
// those alone, and what they had seen: each lane keeps up to when it has seen the others (a vector clock).
// Of several open reads of a piece the time of the last is kept: no race is missed; where masks overlap, as
// those of tiles do not, one that is none may be told.
// The piece is as small as the kernel's narrowest access, so that neighbours never disturb each other.

#include <array>
#include <cstdint>
#include <vector>

#include "emulator/fault.hpp"
#include "emulator/use.hpp"

namespace gristmill::emulator {

class SharedShadow {
 public:
  void resize(uint32_t bytes, uint32_t granule);
  /// Forgets everything: a new block of `warps` warps.
  void begin_block(uint32_t warps);
  void block_barrier();
  /// These lanes of a warp have synchronised.
  void warp_barrier(uint32_t warp, uint32_t lanes = UINT32_MAX);

  /// Notes an aligned access in bounds; returns a bit for each kind of fault, 0 for none.
  uint32_t access(uint32_t thread, uint32_t offset, uint32_t bytes, Use use) {
    uint32_t faults = 0;
    const uint32_t first = offset >> shift_, last = (offset + bytes - 1) >> shift_;
    if (use == Use::atomic && atomics_.empty()) atomics_.resize(cells_.size());
    for (uint32_t i = first; i <= last; ++i) {
      faults |= use == Use::read     ? read(i, thread)
                : use == Use::atomic ? modify(i, thread)
                                     : write(i, thread, use);
    }
    return faults;
  }
  /// An asynchronous copy of `thread` has arrived.
  void copy_end(uint32_t thread, uint32_t offset, uint32_t bytes);

  static constexpr uint32_t bit(FaultKind kind) { return uint32_t{1} << static_cast<uint32_t>(kind); }

 private:
  /// Accesses of one sort that are not ordered among each other: the last one, and whose the others were.
  struct Group {
    uint32_t time = 0;   ///< of the last, which stands for all
    uint32_t lanes = 0;  ///< of the last one's warp; 0 if other warps' are among them
    uint8_t warp = 0;
  };
  /// The readers, in whose padding lies what else is known: there are many cells, which should fit a cache.
  struct Cell : Group {
    uint8_t copies = 0;  ///< under way
    uint16_t writer = 0;
    uint32_t write_time = 0;
  };
  static_assert(sizeof(Cell) == 16);
  /// Up to when each lane (first index) of a warp has seen the others.
  using Clocks = std::array<std::array<uint32_t, 32>, 32>;

  bool partial(uint32_t warp) const { return (partial_ >> warp & 1) != 0; }
  /// Whether an access of `other` at `time` is not ordered before one of `thread` now.
  bool open(uint32_t thread, uint32_t other, uint32_t time) const {
    if (other == thread) return false;
    if (((thread ^ other) >> 5) != 0) return time >= block_time_;
    return time >= warp_time_[thread >> 5] &&
           (!partial(thread >> 5) || time >= clocks_[thread >> 5][thread & 31][other & 31]);
  }
  /// Of these lanes of the thread's warp those with which it has not synchronised since `time`.
  uint32_t open_lanes(uint32_t thread, uint32_t lanes, uint32_t time) const;
  bool open(const Group& group, uint32_t thread) const {
    if (group.time < block_time_) return false;
    if (group.lanes == 0 || group.warp != thread >> 5) return true;
    const uint32_t others = group.lanes & ~(uint32_t{1} << (thread & 31));
    return others != 0 && group.time >= warp_time_[thread >> 5] &&
           (!partial(thread >> 5) || open_lanes(thread, others, group.time) != 0);
  }
  /// Adds an access to a group; those that are ordered before it leave.
  void add(Group& group, uint32_t thread) {
    const uint32_t warp = thread >> 5, lane = uint32_t{1} << (thread & 31);
    if (group.time < block_time_) {
      group.lanes = lane;
    } else if (group.warp != warp) {
      group.lanes = 0;
    } else if (group.lanes != 0) {
      if (group.time < warp_time_[warp]) group.lanes = 0;
      if (partial(warp)) group.lanes = open_lanes(thread, group.lanes, group.time);
      group.lanes |= lane;
    }
    group.warp = static_cast<uint8_t>(warp);
    group.time = now_;
  }

  uint32_t read(uint32_t index, uint32_t thread) {
    Cell& cell = cells_[index];
    uint32_t faults = 0;
    if (cell.copies != 0) faults |= bit(FaultKind::copy_in_flight);
    const bool atomic = !atomics_.empty() && atomics_[index].time >= begin_;
    if (cell.write_time < begin_ && !atomic) {
      faults |= bit(FaultKind::shared_uninitialised);
    } else if (open(thread, cell.writer, cell.write_time) || (atomic && open(atomics_[index], thread))) {
      faults |= bit(FaultKind::shared_read_after_write);
    }
    add(cell, thread);
    return faults;
  }
  uint32_t write(uint32_t index, uint32_t thread, Use use) {
    Cell& cell = cells_[index];
    uint32_t faults = 0;
    if (cell.copies != 0) faults |= bit(FaultKind::copy_in_flight);
    if (open(thread, cell.writer, cell.write_time) || (!atomics_.empty() && open(atomics_[index], thread))) {
      faults |= bit(FaultKind::shared_write_after_write);
    }
    if (open(cell, thread)) faults |= bit(FaultKind::shared_write_after_read);
    cell.writer = static_cast<uint16_t>(thread);
    cell.write_time = now_;
    if (use == Use::copy && cell.copies < UINT8_MAX) {
      ++cell.copies;
      ++open_copies_;
    }
    return faults;
  }
  /// An atomic access: in conflict with plain ones, of which it hides none.
  uint32_t modify(uint32_t index, uint32_t thread);

  std::vector<Cell> cells_;
  std::vector<Group> atomics_;  ///< of each cell; empty until there is one
  uint32_t shift_ = 2;
  uint64_t open_copies_ = 0;
  uint32_t now_ = 1, begin_ = 1, block_time_ = 1;
  std::vector<uint32_t> warp_time_;
  uint32_t partial_ = 0;  ///< a bit for each warp whose clocks count: some of its lanes synchronised last
  std::vector<Clocks> clocks_;
};

}  // namespace gristmill::emulator

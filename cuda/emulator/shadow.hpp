#pragma once

// What is known of each piece of a block's shared memory: who wrote and read it last, and when.
//
// Time is counted in stamps: each barrier of the block and each synchronisation of a warp begins a new one.
// Two accesses of different warps are ordered if a barrier lies between them, two of lanes of one warp also
// if a synchronisation of that warp does; a pair that is not ordered and of which one writes is a race,
// whichever came first in this run. The piece is as small as the kernel's narrowest access, so that
// neighbours never disturb each other.

#include <bit>
#include <cstdint>
#include <vector>

#include "emulator/fault.hpp"

namespace gristmill::emulator {

class SharedShadow {
 public:
  enum class Use : uint8_t { read, write, atomic, copy_start };

  void resize(uint32_t bytes, uint32_t granule);
  /// Forgets everything: a new block of `count` warps.
  void begin_block(uint32_t count);
  void block_barrier();
  void warp_barrier(uint32_t warp) { warp_time_[warp] = ++now_; }

  /// Notes an aligned access in bounds; returns a bit for each kind of fault, 0 for none.
  uint32_t access(uint32_t thread, uint32_t offset, uint32_t bytes, Use use) {
    uint32_t faults = 0;
    const uint32_t first = offset >> shift_, last = (offset + bytes - 1) >> shift_;
    if (use == Use::read) {
      for (uint32_t i = first; i <= last; ++i) faults |= read(cells_[i], thread);
    } else {
      for (uint32_t i = first; i <= last; ++i) faults |= write(cells_[i], thread, use);
    }
    return faults;
  }
  /// An asynchronous copy of `thread` has arrived.
  void copy_end(uint32_t thread, uint32_t offset, uint32_t bytes);

  static constexpr uint32_t bit(FaultKind kind) { return uint32_t{1} << static_cast<uint32_t>(kind); }

 private:
  enum Readers : uint8_t { one, lanes, warps };  // one thread, several lanes of a warp, several warps
  struct Cell {
    uint32_t write_time = 0, read_time = 0;
    uint16_t writer = 0, reader = 0;
    uint8_t copies = 0;  ///< under way
    Readers readers = one;
    bool atomic = false;  ///< the last write was one
  };

  /// Whether an access of `other` at `time` is not ordered before one of `thread` now.
  bool open(uint32_t thread, uint32_t other, uint32_t time) const {
    return other != thread && time >= (((thread ^ other) >> 5) == 0 ? warp_time_[thread >> 5] : block_time_);
  }
  uint32_t read(Cell& cell, uint32_t thread) {
    uint32_t faults = 0;
    if (cell.copies != 0) faults |= bit(FaultKind::copy_in_flight);
    if (cell.write_time < begin_) {
      faults |= bit(FaultKind::shared_uninitialised);
    } else if (open(thread, cell.writer, cell.write_time)) {
      faults |= bit(FaultKind::shared_read_after_write);
    }
    if (cell.reader != thread || cell.read_time < block_time_) {
      const bool other_warp = ((cell.reader ^ thread) >> 5) != 0;
      if (cell.read_time < (other_warp ? block_time_ : warp_time_[thread >> 5])) {
        // The last reader is ordered before this; earlier ones of other warps may still be open.
        if (cell.read_time < block_time_ || cell.readers != warps) cell.readers = one;
      } else if (cell.reader != thread && cell.readers != warps) {
        cell.readers = other_warp ? warps : lanes;
      }
    }
    cell.reader = static_cast<uint16_t>(thread);
    cell.read_time = now_;
    return faults;
  }
  bool readers_open(const Cell& cell, uint32_t thread) const {
    if (cell.read_time < block_time_) return false;
    if (cell.readers == warps) return true;
    if (cell.readers == lanes && ((cell.reader ^ thread) >> 5) == 0)
      return cell.read_time >= warp_time_[thread >> 5];
    return open(thread, cell.reader, cell.read_time);
  }
  uint32_t write(Cell& cell, uint32_t thread, Use use) {
    uint32_t faults = 0;
    if (cell.copies != 0) faults |= bit(FaultKind::copy_in_flight);
    const bool both_atomic = use == Use::atomic && cell.atomic;
    if (use == Use::atomic && cell.write_time < begin_) faults |= bit(FaultKind::shared_uninitialised);
    if (cell.write_time >= begin_ && !both_atomic && open(thread, cell.writer, cell.write_time)) {
      faults |= bit(FaultKind::shared_write_after_write);
    }
    if (readers_open(cell, thread)) faults |= bit(FaultKind::shared_write_after_read);
    cell.writer = static_cast<uint16_t>(thread);
    cell.write_time = now_;
    cell.atomic = use == Use::atomic;
    if (use == Use::copy_start && cell.copies < UINT8_MAX) {
      ++cell.copies;
      ++open_copies_;
    }
    return faults;
  }

  std::vector<Cell> cells_;
  uint32_t shift_ = 2;
  uint64_t open_copies_ = 0;
  uint32_t now_ = 1, begin_ = 1, block_time_ = 1;
  std::vector<uint32_t> warp_time_;
};

}  // namespace gristmill::emulator

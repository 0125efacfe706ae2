#pragma once

// Races in global memory: two blocks of a launch touch the same bytes, or two warps of a block between two
// barriers, one of them writes, and not both are atomic. Each block notes the ranges that its warps touch.
// Those of its own warps are compared at each barrier; those of different blocks after they ended, in the
// order of the blocks, so that the faults do not depend on how many threads of the host ran them.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "emulator/use.hpp"

namespace gristmill::emulator {

struct Touch {
  uint64_t begin = 0;
  uint32_t bytes = 0, pc = 0;
  uint16_t thread = 0;
  Use kind = Use::read;
};

/// Bytes of the longest range.
constexpr uint32_t kLongestTouch = 1 << 30;

/// What one block touches. Neighbouring ranges of an instruction and a warp become one.
class TouchLog {
 public:
  void begin_block(size_t instructions);
  void add(uint64_t address, uint32_t bytes, uint32_t pc, uint32_t thread, Use kind) {
    const uint32_t last = last_[pc];
    if (kind != Use::read) wrote_ = true;
    if (last > current_) {
      Touch& touch = touches_[last - 1];
      if (touch.thread / 32 == thread / 32 && address >= touch.begin &&
          address <= touch.begin + touch.bytes) {
        const uint64_t end = address + bytes - touch.begin;
        if (end <= kLongestTouch) {
          if (end > touch.bytes) touch.bytes = static_cast<uint32_t>(end);
          return;
        }
      }
    }
    push(address, bytes, pc, thread, kind);
  }
  struct Conflict {
    Touch touch;
    uint64_t address = 0;
    uint32_t other_thread = 0;  ///< one of its warp
  };
  /// A barrier: compares the warps since the last one.
  std::vector<Conflict> barrier();
  /// The ranges by instruction and address, each byte once an instruction.
  std::vector<Touch> take();

 private:
  void push(uint64_t address, uint32_t bytes, uint32_t pc, uint32_t thread, Use kind);
  void compact();
  std::vector<Touch> touches_;
  std::vector<uint32_t> last_;  ///< of each instruction: its last range + 1
  size_t current_ = 0;          ///< ranges from here on belong to the time since the last barrier
  bool wrote_ = false;          ///< since the last barrier
  size_t limit_ = 0;
};

/// Compares the blocks of a launch.
class TouchTable {
 public:
  explicit TouchTable(uint32_t granule);

  struct Race {
    Touch touch;
    uint64_t address = 0;
    uint32_t other_block = 0;
    uint64_t count = 0;  ///< pieces of memory
  };
  /// The races of a block, by its number in the grid, with those that were added before it; one an
  /// instruction.
  std::vector<Race> add(const std::vector<Touch>& touches, uint32_t block);

 private:
  struct Cell {
    uint32_t writer = 0, reader = 0;  ///< the last one's number + 1; highest bits: atomically, by several
  };
  Cell* page(uint64_t number);
  /// The other block of a race, or UINT32_MAX.
  static uint32_t touch(Cell& cell, uint32_t block, Use kind);

  uint32_t shift_;
  std::unordered_map<uint64_t, std::unique_ptr<Cell[]>> pages_;
  uint64_t last_page_ = UINT64_MAX;
  Cell* last_cells_ = nullptr;
};

}  // namespace gristmill::emulator

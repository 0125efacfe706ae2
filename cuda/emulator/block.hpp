#pragma once

// A block of threads: its warps, its shared memory, and the order in which the warps take turns.
//
// The order is adversarial and comes from the seed: warps have random priorities, the first that can run does
// so for a random number of instructions, and priorities are drawn anew now and then. Warps so run far ahead
// of others between barriers, which is where missing barriers show.

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/rng.hpp"
#include "emulator/fault.hpp"
#include "emulator/instruction.hpp"
#include "emulator/launch.hpp"
#include "emulator/memory.hpp"
#include "emulator/shadow.hpp"
#include "emulator/touches.hpp"
#include "emulator/warp.hpp"

namespace gristmill::emulator {

constexpr uint32_t kSharedBase = 1024;  ///< the first bytes of shared memory are the system's, as on hardware
constexpr uint64_t kSharedWindow = 0x0000'7f00'0000'0000, kLocalWindow = 0x0000'7f10'0000'0000;
constexpr uint64_t kParamWindow = 0x0000'7f20'0000'0000, kWindowSize = uint64_t{1} << 32;

/// What is the same for all blocks of a launch.
struct Grid {
  Memory& memory;
  const Kernel& kernel;
  const Launch& launch;
  const LaunchOptions& options;
};

/// A fault before its texts are looked up.
struct RawFault {
  FaultKind kind = FaultKind::trap;
  uint32_t pc = 0, thread = 0;
  uint64_t address = 0, count = 0;
};

struct BlockResult {
  uint32_t block = 0;  ///< its number in the grid
  std::vector<RawFault> faults;
  uint64_t omitted_faults = 0;
  Counters counters;
  std::vector<Touch> touches;
};

/// Runs one block after another; each thread of the host has its own.
class Block {
 public:
  explicit Block(const Grid& grid);
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  BlockResult run(uint32_t number);

  // For the instructions.
  uint32_t pc_of(const Instruction& in) const { return static_cast<uint32_t>(&in - grid.kernel.code.data()); }
  void fault(FaultKind kind, const Warp& warp, const Instruction& in, uint32_t lane, uint64_t address = 0);
  /// Ends the block: what stands behind a trap cannot be trusted.
  void stop() { stopped_ = true; }
  /// Lanes at a barrier of the block, with what they vote there (bar.red).
  struct Vote {
    Warp* warp = nullptr;
    const Instruction* in = nullptr;
    uint32_t mask = 0, votes = 0;
  };
  void arrive(Warp& warp, const Instruction& in, uint32_t mask, uint32_t votes);
  uint32_t barriers_so_far() const { return static_cast<uint32_t>(counters.barriers); }

  const Grid& grid;
  std::vector<std::byte> shared;  ///< from kSharedBase on
  SharedShadow shadow;
  Counters counters;
  TouchLog touches;
  std::array<uint64_t, kLanes> address = {};  ///< scratch of memory instructions
  std::array<std::byte*, kLanes> place = {};
  alignas(64) std::array<std::byte, 64> nowhere = {};  ///< all ones: what faulty loads read
  Allocation* recent = nullptr;                        ///< where the last access to global memory was

 private:
  void prepare(Warp& warp, uint32_t number);
  void set_special(Warp& warp, const Kernel::SpecialUse& use, uint32_t number);
  uint64_t special(const Warp& warp, Special special, uint32_t lane, uint32_t number) const;
  void schedule(Rng& rng);
  void shuffle(Rng& rng);
  /// Runs a warp for at most `quantum` instructions; whether it could run at all.
  bool advance(Warp& warp, uint64_t quantum);
  /// All live threads wait: lets them go on. False if none is left.
  bool release();
  void finish_votes();
  void compare_warps();
  void add_fault(FaultKind kind, uint32_t pc, uint32_t thread, uint64_t address);

  std::vector<std::byte> files_;
  std::vector<Warp> warps_;
  std::vector<uint32_t> order_;
  std::vector<RawFault> faults_;
  uint64_t omitted_ = 0;
  bool stopped_ = false;
  std::vector<Vote> votes_;
};

}  // namespace gristmill::emulator

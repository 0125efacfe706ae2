#pragma once

// 32 threads that execute together: their registers, where each of them stands, and which of them run now.
//
// Lanes that took different branches run one group at a time, the one at the lowest address: code is laid out
// so that they meet again that way. Lanes that come to a synchronising instruction before those that their
// member mask names are parked until they arrive; if nothing else of the warp can run, they go on without
// them, and that is a fault. Masks may differ, as those of the tiles of a warp do: lanes with one mask wait
// for each other and for no others.

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "emulator/instruction.hpp"

namespace gristmill::emulator {

class Block;

/// A cp.async under way: its bytes arrive when its thread waits for it, as late as hardware may let them.
struct AsyncCopy {
  uint64_t source = 0;
  uint32_t target = 0;    ///< offset in shared memory
  uint32_t group = 0;     ///< of its lane
  uint32_t pc = 0;        ///< of the instruction that started it
  uint32_t barriers = 0;  ///< of the block until then
  uint8_t lane = 0, bytes = 0, read_bytes = 0;
};

class Warp {
 public:
  Warp(Block& owner, uint32_t number) : block(owner), index(number) {}

  std::byte* at(uint32_t slot) const { return file + slot; }
  uint32_t thread(uint32_t lane) const { return index * kLanes + lane; }

  /// Sends the lanes of `mask` to `target`, the others of the group to the next instruction.
  void jump(uint32_t mask, uint32_t target);
  /// Chooses the group that runs now.
  void regroup();
  /// The member mask of each lane.
  using Members = std::array<uint32_t, kLanes>;
  /// Brings lanes together at this instruction, with those that came before. Returns the lanes whose members
  /// are here, which execute it, perhaps 0; the others must wait.
  uint32_t gather(const Instruction& in, uint32_t mask, const Members& members,
                  FaultKind missing_kind = FaultKind::divergent_warp);
  /// The same where all lanes name the same members.
  uint32_t gather(const Instruction& in, uint32_t mask, uint32_t members,
                  FaultKind missing_kind = FaultKind::divergent_warp);
  /// These lanes wait at a barrier of the block.
  void wait(uint32_t mask);
  void finish(uint32_t mask);
  /// Every lane is ready at the first instruction.
  void restart(uint32_t lanes);
  /// All that wait go on behind the barrier.
  void release();

  bool can_run() const { return active != 0; }

  Block& block;
  const uint32_t index;
  std::byte* file = nullptr;
  uint32_t present = 0;  ///< lanes that the block has
  uint32_t live = 0, waiting = 0, parked = 0, active = 0;
  uint32_t pc = 0;                            ///< of the active lanes
  uint32_t others = UINT32_MAX;               ///< the lowest address of another group that could run
  bool forced = false;                        ///< the active lanes were parked and go on alone
  std::array<uint32_t, kLanes> lane_pc = {};  ///< of the lanes that are not active
  std::vector<AsyncCopy> copies;
  std::array<uint32_t, kLanes> copy_groups = {};  ///< groups that each lane has committed
  std::vector<std::byte> local;                   ///< lane by lane
};

}  // namespace gristmill::emulator

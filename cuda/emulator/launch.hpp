#pragma once

// Runs a kernel over a grid of blocks.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "emulator/fault.hpp"
#include "emulator/instruction.hpp"
#include "emulator/memory.hpp"

namespace gristmill::emulator {

struct Launch {
  Dim3 grid, block;
  uint32_t dynamic_shared = 0;  ///< bytes
  /// What the kernel's attribute allows, at most 227 KiB with static memory; 0 where it was never set, which
  /// allows 48 KiB with static memory.
  uint32_t dynamic_shared_limit = 0;
  std::vector<std::byte> parameters;  ///< as pack_parameters() lays them out
};

struct LaunchOptions {
  uint64_t seed = 0;  ///< of the order of blocks and warps; 0: as numbered, each warp as far as it can
  int threads = 1;    ///< of the host
  uint64_t max_instructions = uint64_t{1}
                              << 28;  ///< of a block's warps together, before it counts as hanging
  size_t max_faults = 100;            ///< kinds of faults at an instruction that are kept
  bool stop_at_fault = false;         ///< the first instruction with a fault ends the launch
  /// With one thread: of each instruction whether lanes did it (kDone) and whether its guard kept some from
  /// it (kKept), added to what is there; null: not wanted.
  std::vector<uint8_t>* seen = nullptr;
};
constexpr uint8_t kDone = 1, kKept = 2;

/// The parameters of a kernel from pointers to their values, as the driver takes them.
std::vector<std::byte> pack_parameters(const Kernel& kernel, const void* const* values);

/// Executes a launch. Faults of the kernel are in the report, and it runs on after them unless it traps or
/// hangs; a launch that hardware would refuse is Error{device}.
///
/// The same report and bytes for any number of threads and any seed, with these exceptions, which lie in the
/// kernel and exist on hardware too: bytes over which blocks race (the race is reported, always the same way;
/// whether a read of them counts as one of memory never written depends on who came first); values that
/// atomics return, and what depends on them, where several blocks use the same ones; bytes that blocks have
/// written that come behind one that traps or hangs, in the order of the launch. Blocks that wait for each
/// other are not supported: with one thread the first never ends, which is reported as a hang.
Report launch(Memory& memory, const Kernel& kernel, const Launch& launch, const LaunchOptions& options = {});

}  // namespace gristmill::emulator

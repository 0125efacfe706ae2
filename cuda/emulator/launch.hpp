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
  uint32_t dynamic_shared_limit =
      48 * 1024;  ///< what the kernel's attribute allows, at most 227 KiB with static memory
  std::vector<std::byte> parameters;  ///< as pack_parameters() lays them out
};

struct LaunchOptions {
  uint64_t seed = 0;  ///< of the order of blocks and warps; 0: as numbered, each warp as far as it can
  int threads = 1;    ///< of the host
  uint64_t max_instructions = uint64_t{1}
                              << 28;  ///< of a block's warps together, before it counts as hanging
  size_t max_faults = 100;            ///< kinds of faults at an instruction that are kept
};

/// The parameters of a kernel from pointers to their values, as the driver takes them.
std::vector<std::byte> pack_parameters(const Kernel& kernel, const void* const* values);

/// Executes a launch. Faults of the kernel are in the report, and it runs on after them unless it traps or
/// hangs; a launch that hardware would refuse is Error{device}. The same report and bytes for any number of
/// threads, unless blocks race.
Report launch(Memory& memory, const Kernel& kernel, const Launch& launch, const LaunchOptions& options = {});

}  // namespace gristmill::emulator

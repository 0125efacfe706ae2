#pragma once

#include "emulator/warp.hpp"

namespace gristmill::emulator {

/// Threads may not end while copies that they started are under way.
void check_copies_at_exit(Warp& warp, const Instruction& in, uint32_t mask);

}  // namespace gristmill::emulator

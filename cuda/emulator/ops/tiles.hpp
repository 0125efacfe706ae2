#pragma once

// Instructions that lanes execute together with those that their member masks name.

#include <bit>
#include <cstring>

#include "emulator/ops/lanes.hpp"

namespace gristmill::emulator {

/// Calls body(lanes, members) for each set of lanes that execute the instruction together: those with the
/// same mask in register `slot`, once all that it names are here. Others wait.
template <class Body>
void each_tile(Warp& warp, const Instruction& in, uint32_t mask, uint32_t slot, const Body& body) {
  Warp::Members members;
  std::memcpy(members.data(), warp.at(slot), sizeof members);
  const auto named = [&](uint32_t lanes) { return members[std::countr_zero(lanes) & (kLanes - 1)]; };
  const auto alike = [&](uint32_t lanes) {
    const uint32_t first = named(lanes);
    return lanes & lane_bits([&](size_t lane) { return members[lane] == first; });
  };
  const bool one = alike(mask) == mask && (mask & ~named(mask)) == 0;  // the usual case
  uint32_t ready = one ? warp.gather(in, mask, named(mask)) : warp.gather(in, mask, members);
  while (ready != 0) {
    const uint32_t together = alike(ready);
    body(together, named(together));
    ready &= ~together;
  }
}

}  // namespace gristmill::emulator

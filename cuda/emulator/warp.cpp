#include "emulator/warp.hpp"

#include <algorithm>
#include <bit>

#include "emulator/block.hpp"
#include "emulator/ops/lanes.hpp"

namespace gristmill::emulator {
void Warp::restart(uint32_t lanes) {
  present = live = active = lanes;
  waiting = parked = 0;
  pc = 0;
  others = UINT32_MAX;
  forced = false;
  copies.clear();
  copy_groups.fill(0);
}

void Warp::jump(uint32_t mask, uint32_t target) {
  if (mask == active) {
    pc = target;
    return;
  }
  for_lanes(active, [&](uint32_t lane) { lane_pc[lane] = (mask >> lane & 1) != 0 ? target : pc; });
  active = 0;
  regroup();
}

void Warp::regroup() {
  for_lanes(active, [&](uint32_t lane) { lane_pc[lane] = pc; });
  const uint32_t ready = live & ~waiting & ~parked;
  uint32_t from = ready;
  forced = ready == 0 && parked != 0;
  if (forced) from = parked;
  pc = others = UINT32_MAX;
  for_lanes(from, [&](uint32_t lane) { pc = std::min(pc, lane_pc[lane]); });
  active = 0;
  for_lanes(from, [&](uint32_t lane) {
    if (lane_pc[lane] == pc) {
      active |= uint32_t{1} << lane;
    } else if (!forced) {
      others = std::min(others, lane_pc[lane]);
    }
  });
  if (forced) parked &= ~active;
}

uint32_t Warp::gather(const Instruction& in, uint32_t mask, uint32_t members, FaultKind missing_kind) {
  if (parked == 0 && (members & live & ~mask) == 0) {
    forced = false;
    return mask;
  }
  Members all;
  all.fill(members);
  return gather(in, mask, all, missing_kind);
}

uint32_t Warp::gather(const Instruction& in, uint32_t mask, const Members& members, FaultKind missing_kind) {
  const uint32_t pc_here = block.pc_of(in);
  uint32_t here = mask, ready = 0;
  for_lanes(parked, [&](uint32_t lane) { here |= lane_pc[lane] == pc_here ? uint32_t{1} << lane : 0; });
  for (uint32_t left = here; left != 0;) {
    const auto first = static_cast<size_t>(std::countr_zero(left));
    const uint32_t named = members[first],
                   together = left & lane_bits([&](size_t lane) { return members[lane] == named; });
    left &= ~together;
    const uint32_t missing = named & live & ~here;
    if (missing != 0 && !forced) continue;
    ready |= together;
    // Not here, here with another mask, or not in its own mask.
    const uint32_t wrong = missing != 0 ? missing : (named & live & ~together) | (together & ~named);
    if (wrong != 0) block.fault(missing_kind, *this, in, static_cast<uint32_t>(std::countr_zero(wrong)));
  }
  forced = false;
  for_lanes(here & ~ready, [&](uint32_t lane) { lane_pc[lane] = pc_here; });
  parked = (parked & ~here) | (here & ~ready);
  active = (active | here) & ~(here & ~ready);
  if (ready == 0) regroup();
  return ready;
}

void Warp::wait(uint32_t mask) {
  for_lanes(mask, [&](uint32_t lane) { lane_pc[lane] = pc; });
  waiting |= mask;
  active &= ~mask;
  regroup();
}

void Warp::finish(uint32_t mask) {
  live &= ~mask;
  active &= ~mask;
  if (active == 0) regroup();
}

void Warp::release() {
  waiting = 0;
  active = 0;
  regroup();
}

}  // namespace gristmill::emulator

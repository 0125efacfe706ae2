#include "emulator/warp.hpp"

#include <algorithm>
#include <bit>

#include "emulator/block.hpp"

namespace gristmill::emulator {
namespace {

/// Calls body(lane) for each bit.
template <class Body>
void each(uint32_t mask, const Body& body) {
  for (; mask != 0; mask &= mask - 1) body(static_cast<uint32_t>(std::countr_zero(mask)));
}

}  // namespace

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
  each(active, [&](uint32_t lane) { lane_pc[lane] = (mask >> lane & 1) != 0 ? target : pc; });
  active = 0;
  regroup();
}

void Warp::regroup() {
  each(active, [&](uint32_t lane) { lane_pc[lane] = pc; });
  const uint32_t ready = live & ~waiting & ~parked;
  uint32_t from = ready;
  forced = ready == 0 && parked != 0;
  if (forced) from = parked;
  pc = others = UINT32_MAX;
  each(from, [&](uint32_t lane) { pc = std::min(pc, lane_pc[lane]); });
  active = 0;
  each(from, [&](uint32_t lane) {
    if (lane_pc[lane] == pc) {
      active |= uint32_t{1} << lane;
    } else if (!forced) {
      others = std::min(others, lane_pc[lane]);
    }
  });
  if (forced) parked &= ~active;
}

uint32_t Warp::gather(const Instruction& in, uint32_t mask, uint32_t members, FaultKind missing_kind) {
  const uint32_t here = block.pc_of(in);
  if (parked != 0) {
    each(parked, [&](uint32_t lane) {
      if (lane_pc[lane] != here) return;
      parked &= ~(uint32_t{1} << lane);
      active |= uint32_t{1} << lane;
      mask |= uint32_t{1} << lane;
    });
  }
  const uint32_t missing = members & live & ~mask;
  if (missing == 0 || forced) {
    if (missing != 0) block.fault(missing_kind, *this, in, static_cast<uint32_t>(std::countr_zero(missing)));
    forced = false;
    return mask;
  }
  each(mask, [&](uint32_t lane) { lane_pc[lane] = here; });
  parked |= mask;
  active &= ~mask;
  regroup();
  return 0;
}

void Warp::wait(uint32_t mask) {
  each(mask, [&](uint32_t lane) { lane_pc[lane] = pc; });
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

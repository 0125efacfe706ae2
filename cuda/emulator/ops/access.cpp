#include "emulator/ops/access.hpp"

#include <algorithm>
#include <bit>

#include "emulator/journal.hpp"
#include "emulator/ops/lanes.hpp"

namespace gristmill::emulator {
namespace {

struct Run {
  uint64_t begin = 0, end = 0;
  uint32_t lanes = 0;
};

void faulty(Warp& warp, const Instruction& in, uint32_t lane, FaultKind kind, uint64_t address) {
  warp.block.fault(kind, warp, in, lane, address);
  warp.block.place[lane] = warp.block.nowhere.data();
}

/// One lane, or adjacent ones whose whole range is fine: everything but the search for what is wrong.
bool take_run(Warp& warp, const Instruction& in, const Run& run, uint32_t bytes, Use use) {
  Block& block = warp.block;
  Allocation* allocation = block.recent;
  const uint64_t size = run.end - run.begin;
  if (allocation == nullptr || !allocation->contains(run.begin, size)) {
    allocation = block.grid.memory.find(run.begin);
    if (allocation == nullptr || !allocation->contains(run.begin, size)) return false;
    block.recent = allocation;
  }
  if ((run.begin & (bytes - 1)) != 0) return false;
  if (use != Use::write && !allocation->initialised(run.begin, size)) return false;
  if (use != Use::read && allocation->read_only()) return false;
  if (use != Use::read) {
    if (Journal* journal = block.grid.memory.journal()) journal->keep(*allocation, run.begin, size);
  }
  if (use == Use::write) allocation->mark(run.begin, size);
  std::byte* host = allocation->at(run.begin);
  for_lanes(run.lanes, [&](uint32_t lane) { block.place[lane] = host + (block.address[lane] - run.begin); });
  if (!allocation->read_only()) {
    block.touches.add(run.begin, static_cast<uint32_t>(size), block.pc_of(in),
                      warp.thread(static_cast<uint32_t>(std::countr_zero(run.lanes))), use);
  }
  return true;
}

void find_global_fault(Warp& warp, const Instruction& in, uint32_t lane, uint32_t bytes, Use use) {
  const uint64_t address = warp.block.address[lane];
  Allocation* allocation = warp.block.grid.memory.find(address);
  FaultKind kind = FaultKind::global_uninitialised;
  if (allocation == nullptr || !allocation->contains(address, bytes)) {
    kind = FaultKind::global_out_of_bounds;
  } else if ((address & (bytes - 1)) != 0) {
    kind = FaultKind::global_misaligned;
  } else if (use != Use::read && allocation->read_only()) {
    kind = FaultKind::global_read_only;
  }
  faulty(warp, in, lane, kind, address);
}

/// Most lanes that can need a pass of their own, by the bytes of an access: 32, 16 or 8 lanes go together.
uint32_t lanes_together(uint32_t bytes) { return bytes <= 4 ? 32 : bytes == 8 ? 16 : 8; }

/// Passes for up to 32 lanes: the most different words that one of the 32 banks must give.
uint32_t passes(const Block& block, uint32_t mask, uint32_t bytes) {
  uint32_t words[32][32];
  uint8_t count[32] = {};
  uint32_t most = 1;
  for_lanes(mask, [&](uint32_t lane) {
    const auto first = static_cast<uint32_t>(block.address[lane] / 4);
    for (uint32_t word = first; word < first + std::max(bytes / 4, 1U); ++word) {
      uint32_t* known = words[word % 32];
      uint8_t& size = count[word % 32];
      if (std::find(known, known + size, word) != known + size) continue;
      if (size < 32) known[size++] = word;
      most = std::max<uint32_t>(most, size);
    }
  });
  return most;
}

}  // namespace

void find_addresses(Warp& warp, const Instruction& in) {
  const std::byte* base = warp.at(in.src[0]);
  auto& address = warp.block.address;
  if (in.target != 0) {
    for (size_t i = 0; i < kLanes; ++i)
      address[i] = static_cast<uint32_t>(get<uint32_t>(base, i) + in.immediate);
  } else {
    for (size_t i = 0; i < kLanes; ++i) address[i] = get<uint64_t>(base, i) + in.immediate;
  }
}

void count_sectors(Block& block, uint32_t mask, uint32_t bytes) {
  std::array<uint64_t, kLanes> sorted = {};
  size_t count = 0;
  for_lanes(mask, [&](uint32_t lane) {  // insertion: almost always in order already
    const uint64_t address = block.address[lane];
    size_t at = count++;
    for (; at > 0 && sorted[at - 1] > address; --at) sorted[at] = sorted[at - 1];
    sorted[at] = address;
  });
  uint64_t sectors = 0, different = 0, last = UINT64_MAX;
  for (size_t i = 0; i < count; ++i) {
    if (i > 0 && sorted[i] == sorted[i - 1]) continue;
    ++different;
    const uint64_t begin = sorted[i] / 32, end = (sorted[i] + bytes - 1) / 32;
    sectors += end - begin + (begin == last ? 0 : 1);
    last = end;
  }
  ++block.counters.global_accesses;
  block.counters.global_sectors += sectors;
  block.counters.global_sectors_ideal += (different * bytes + 31) / 32;
}

uint32_t access_global(Warp& warp, const Instruction& in, uint32_t mask, uint32_t bytes, Use use) {
  Block& block = warp.block;
  count_sectors(block, mask, bytes);
  uint32_t good = mask;
  const auto finish = [&](const Run& run) {
    if (run.lanes == 0 || take_run(warp, in, run, bytes, use)) return;
    for_lanes(run.lanes, [&](uint32_t lane) {
      const Run single = {block.address[lane], block.address[lane] + bytes, uint32_t{1} << lane};
      if (single.end > single.begin && take_run(warp, in, single, bytes, use)) return;
      good &= ~single.lanes;
      find_global_fault(warp, in, lane, bytes, use);
    });
  };
  Run run;
  for_lanes(mask, [&](uint32_t lane) {
    const uint64_t address = block.address[lane];
    const bool next = run.lanes != 0 && address == run.end,
               same = run.lanes != 0 && address == run.end - bytes;
    if (!next && !same) {
      finish(run);
      run = {address, address, 0};
    }
    run.lanes |= uint32_t{1} << lane;
    run.end = address + bytes;
  });
  finish(run);
  return good;
}

void count_wavefronts(Block& block, uint32_t mask, uint32_t bytes) {
  const uint32_t together = lanes_together(bytes);
  ++block.counters.shared_accesses;
  for (uint32_t first = 0; first < kLanes; first += together) {
    const uint32_t part = mask & (together == 32 ? kAllLanes : ((uint32_t{1} << together) - 1) << first);
    if (part == 0) continue;
    block.counters.shared_wavefronts += passes(block, part, bytes);
    ++block.counters.shared_wavefronts_ideal;
  }
}

void report_shared(Warp& warp, const Instruction& in, uint32_t lane, uint32_t offset, uint32_t faults) {
  for (; faults != 0; faults &= faults - 1) {
    warp.block.fault(static_cast<FaultKind>(std::countr_zero(faults)), warp, in, lane, offset);
  }
}

uint32_t access_shared(Warp& warp, const Instruction& in, uint32_t mask, uint32_t bytes, Use use) {
  Block& block = warp.block;
  count_wavefronts(block, mask, bytes);
  uint32_t good = mask;
  for_lanes(mask, [&](uint32_t lane) {
    const uint64_t offset = block.address[lane] - kSharedBase;  // addresses below the base become very large
    const bool outside = offset > block.shared.size() || bytes > block.shared.size() - offset;
    if (outside || (offset & (bytes - 1)) != 0) {
      good &= ~(uint32_t{1} << lane);
      return faulty(warp, in, lane, outside ? FaultKind::shared_out_of_bounds : FaultKind::shared_misaligned,
                    block.address[lane]);
    }
    const uint32_t faults = block.shadow.access(warp.thread(lane), static_cast<uint32_t>(offset), bytes, use);
    if (faults != 0) report_shared(warp, in, lane, static_cast<uint32_t>(block.address[lane]), faults);
    block.place[lane] = block.shared.data() + offset;
  });
  return good;
}

uint32_t access_local(Warp& warp, const Instruction& in, uint32_t mask, uint32_t bytes) {
  const uint64_t size = warp.block.grid.kernel.local_bytes;
  uint32_t good = mask;
  for_lanes(mask, [&](uint32_t lane) {
    const uint64_t offset = warp.block.address[lane];
    const bool outside = offset > size || bytes > size - offset;
    if (outside || (offset & (bytes - 1)) != 0) {
      good &= ~(uint32_t{1} << lane);
      return faulty(warp, in, lane, outside ? FaultKind::local_out_of_bounds : FaultKind::local_misaligned,
                    offset);
    }
    warp.block.place[lane] = warp.local.data() + lane * size + offset;
  });
  return good;
}

uint32_t access_param(Warp& warp, const Instruction& in, uint32_t mask, uint32_t bytes) {
  const auto& parameters = warp.block.grid.launch.parameters;
  uint32_t good = mask;
  for_lanes(mask, [&](uint32_t lane) {
    const uint64_t offset = warp.block.address[lane];
    if (offset > parameters.size() || bytes > parameters.size() - offset) {
      good &= ~(uint32_t{1} << lane);
      return faulty(warp, in, lane, FaultKind::parameter_out_of_bounds, offset);
    }
    warp.block.place[lane] = const_cast<std::byte*>(parameters.data()) + offset;
  });
  return good;
}

uint32_t access_generic(Warp& warp, const Instruction& in, uint32_t mask, uint32_t bytes, Use use) {
  auto& address = warp.block.address;
  /// Takes the lanes whose addresses lie in a window out of the mask, and the window out of their addresses.
  const auto take = [&](uint64_t window) {
    uint32_t inside = 0;
    for_lanes(mask, [&](uint32_t lane) {
      if (address[lane] < window || address[lane] - window >= kWindowSize) return;
      address[lane] -= window;
      inside |= uint32_t{1} << lane;
    });
    mask &= ~inside;
    return inside;
  };
  const uint32_t shared = take(kSharedWindow), local = take(kLocalWindow), param = take(kParamWindow);
  // There are no atomics of a thread's own memory, and parameters are only read.
  const uint32_t useless = (use == Use::atomic ? local : 0) | (use != Use::read ? param : 0);
  for_lanes(useless, [&](uint32_t lane) { faulty(warp, in, lane, FaultKind::bad_operand, address[lane]); });
  uint32_t good = 0;
  if (shared != 0) good |= access_shared(warp, in, shared, bytes, use);
  if (mask != 0) good |= access_global(warp, in, mask, bytes, use);
  return good | access_local(warp, in, local & ~useless, bytes) |
         access_param(warp, in, param & ~useless, bytes);
}

}  // namespace gristmill::emulator

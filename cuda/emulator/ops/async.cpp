// cp.async: copies from global to shared memory that go on beside the program. Here they arrive as late as
// they may: when the thread that started them waits for them.

#include <algorithm>
#include <cstring>

#include "emulator/block.hpp"
#include "emulator/ops/access.hpp"
#include "emulator/ops/async.hpp"
#include "emulator/ops/lanes.hpp"
#include "emulator/ops/operations.hpp"

namespace gristmill::emulator {
namespace {

constexpr size_t kMostCopies = 1 << 16;  // of a warp

/// The part of a copy that is read, a lane each; the rest becomes zeros.
uint32_t bytes_read(Warp& warp, const Instruction& in, uint32_t lane) {
  if (in.src[2] == kNone) return in.bytes;
  if (in.mode == 1) return (predicate(warp.at(in.src[2])) >> lane & 1) != 0 ? 0 : in.bytes;
  const auto bytes = get<uint32_t>(warp.at(in.src[2]), lane);
  if (bytes <= in.bytes) return bytes;
  warp.block.fault(FaultKind::bad_operand, warp, in, lane, bytes);
  return in.bytes;
}

/// Checks the sources: whole copies together, so that dense ones stay dense; partial ones one by one.
uint32_t check_sources(Warp& warp, const Instruction& in, uint32_t mask,
                       const std::array<uint8_t, kLanes>& sizes) {
  Block& block = warp.block;
  uint32_t whole = 0, good = 0;
  for_lanes(mask, [&](uint32_t lane) {
    const uint32_t bit = uint32_t{1} << lane;
    if (sizes[lane] == in.bytes) {
      whole |= bit;
    } else if (sizes[lane] == 0) {
      good |= bit;
    } else if ((block.address[lane] & (in.bytes - 1U)) != 0) {
      block.fault(FaultKind::global_misaligned, warp, in, lane, block.address[lane]);
    } else {
      uint32_t left = 0;
      for (uint32_t part = 1; part <= in.bytes; part *= 2) {  // pieces of powers of two, the largest first
        const uint32_t piece = in.bytes / part;
        if ((sizes[lane] & piece) == 0) continue;
        left += access_global(warp, in, bit, piece, Use::read) == 0 ? 1 : 0;
        block.address[lane] += piece;
      }
      if (left == 0) good |= bit;
      block.address[lane] -= sizes[lane];
    }
  });
  return whole != 0 ? good | access_global(warp, in, whole, in.bytes, Use::read) : good;
}

void run_copy(Warp& warp, const Instruction& in, uint32_t mask) {
  Block& block = warp.block;
  block.counters.async_copies += 1;
  const std::byte* source = warp.at(in.src[1]);
  std::array<uint8_t, kLanes> sizes = {};
  for_lanes(mask, [&](uint32_t lane) {
    block.address[lane] = get<uint64_t>(source, lane) + in.second;
    sizes[lane] = static_cast<uint8_t>(bytes_read(warp, in, lane));
  });
  const auto from = block.address;
  mask &= check_sources(warp, in, mask, sizes);
  if (mask == 0) return;
  find_addresses(warp, in);
  count_wavefronts(block, mask, in.bytes);
  for_lanes(mask, [&](uint32_t lane) {
    const uint64_t target = block.address[lane] - kSharedBase;
    if (target > block.shared.size() || in.bytes > block.shared.size() - target) {
      return block.fault(FaultKind::shared_out_of_bounds, warp, in, lane, block.address[lane]);
    }
    if ((target & (in.bytes - 1U)) != 0)
      return block.fault(FaultKind::shared_misaligned, warp, in, lane, block.address[lane]);
    const auto at = static_cast<uint32_t>(target);
    const uint32_t faults = block.shadow.access(warp.thread(lane), at, in.bytes, Use::copy);
    if (faults != 0) report_shared(warp, in, lane, at + kSharedBase, faults);
    std::memset(block.shared.data() + at, 0xff, in.bytes);
    if (warp.copies.size() >= kMostCopies) return block.fault(FaultKind::bad_operand, warp, in, lane);
    warp.copies.push_back({from[lane], at, warp.copy_groups[lane], block.pc_of(in), block.barriers_so_far(),
                           static_cast<uint8_t>(lane), in.bytes, sizes[lane]});
  });
}

void land(Warp& warp, const AsyncCopy& copy) {
  Block& block = warp.block;
  std::byte* target = block.shared.data() + copy.target;
  std::memset(target, 0, copy.bytes);
  Allocation* allocation = copy.read_bytes > 0 ? block.grid.memory.find(copy.source) : nullptr;
  if (allocation != nullptr) {
    std::memcpy(target, allocation->at(copy.source), copy.read_bytes);
    // The source may be read at any time until now: after a barrier that is another time than that of the
    // instruction.
    if (copy.barriers != block.barriers_so_far() && !allocation->read_only())
      block.touches.add(copy.source, copy.read_bytes, copy.pc, warp.thread(copy.lane), Use::read);
  }
  block.shadow.copy_end(warp.thread(copy.lane), copy.target, copy.bytes);
}

/// Lands the copies of the lanes of `mask` that are in groups before `keep` from the end, or all.
void land_groups(Warp& warp, uint32_t mask, uint32_t keep, bool all) {
  const auto due = [&](const AsyncCopy& copy) {
    if ((mask >> copy.lane & 1) == 0) return false;
    return all || uint64_t{copy.group} + keep < warp.copy_groups[copy.lane];
  };
  size_t kept = 0;
  for (size_t i = 0; i < warp.copies.size(); ++i) {
    if (due(warp.copies[i])) {
      land(warp, warp.copies[i]);
    } else {
      warp.copies[kept++] = warp.copies[i];
    }
  }
  warp.copies.resize(kept);
}

void run_commit(Warp& warp, const Instruction&, uint32_t mask) {
  for_lanes(mask, [&](uint32_t lane) { ++warp.copy_groups[lane]; });
}

void run_wait(Warp& warp, const Instruction& in, uint32_t mask) {
  land_groups(warp, mask, static_cast<uint32_t>(in.immediate), in.mode != 0);
}

void decode_copy(Decoder& d) {
  const bool first_level = d.take("ca");
  if (!first_level && !d.take("cg")) d.refuse("expected .ca or .cg");
  if (!d.take("shared") && !d.take("shared::cta")) d.refuse("expected .shared");
  if (!d.take("global")) d.refuse("expected .global");
  for (const std::string_view hint : {"L2::64B", "L2::128B", "L2::256B"}) d.take(hint);
  d.expect_operands(3, 4);
  const uint64_t bytes = d.constant(2);
  if (bytes != 16 && !(first_level && (bytes == 4 || bytes == 8)))
    d.refuse("copies of 16 bytes, with .ca also of 4 or 8");
  d.address(1, 1);
  if (d.in.target != 0) d.refuse("the source's address has 64 bits");
  d.in.second = d.in.immediate;
  d.address(0, 0);
  if (d.operands() == 4) {
    d.in.mode = d.bits_of_register(d.operand(3)) == 1 ? 1 : 0;
    d.in.src[2] = d.value(3, d.in.mode == 1 ? 1 : 32);
  }
  d.in.bytes = static_cast<uint8_t>(bytes);
  d.in.run = run_copy;
  Kernel& kernel = d.kernel();
  kernel.shared_granule = std::min<uint32_t>(kernel.shared_granule, d.in.bytes);
  kernel.global_granule = std::min<uint32_t>(kernel.global_granule, 4);
}

void decode_cp(Decoder& d) {
  if (!d.take("async")) d.refuse("only cp.async is supported");
  if (d.take("commit_group")) {
    d.expect_operands(0, 0);
    d.in.run = run_commit;
  } else if (d.take("wait_group")) {
    d.expect_operands(1, 1);
    d.in.immediate = std::min<uint64_t>(d.constant(0), UINT32_MAX);
    d.in.run = run_wait;
  } else if (d.take("wait_all")) {
    d.expect_operands(0, 0);
    d.in.mode = 1;
    d.in.run = run_wait;
  } else {
    decode_copy(d);
  }
}

constexpr Operation kOperations[] = {{"cp", decode_cp}};

}  // namespace

void check_copies_at_exit(Warp& warp, const Instruction& in, uint32_t mask) {
  for (const AsyncCopy& copy : warp.copies) {
    if ((mask >> copy.lane & 1) != 0) warp.block.fault(FaultKind::copy_not_awaited, warp, in, copy.lane);
  }
  land_groups(warp, mask, 0, true);
}

std::span<const Operation> async_operations() { return kOperations; }

}  // namespace gristmill::emulator

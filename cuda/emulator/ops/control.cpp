// Jumps, ends, barriers.

#include <bit>

#include "emulator/block.hpp"
#include "emulator/ops/async.hpp"
#include "emulator/ops/lanes.hpp"
#include "emulator/ops/operations.hpp"
#include "emulator/ops/tiles.hpp"

namespace gristmill::emulator {
namespace {

void run_bra(Warp& warp, const Instruction& in, uint32_t mask) {
  if (mask != warp.active) ++warp.block.counters.divergent_branches;
  warp.jump(mask, in.target);
}

void decode_bra(Decoder& d) {
  d.take("uni");
  d.expect_operands(1, 1);
  if (d.operand(0).form != Operand::Form::label) d.refuse("expected a label");
  d.in.target = static_cast<uint32_t>(d.operand(0).value);
  d.in.run = run_bra;
}

/// A jump through a table: the lanes of each target go together.
void run_brx(Warp& warp, const Instruction& in, uint32_t mask) {
  const auto& table = warp.block.grid.kernel.tables[in.target];
  const std::byte* index = warp.at(in.src[0]);
  const uint32_t stay = warp.active & ~mask, next = warp.pc;
  for_lanes(stay, [&](uint32_t lane) { warp.lane_pc[lane] = next; });
  for_lanes(mask, [&](uint32_t lane) {
    const auto i = get<uint32_t>(index, lane);
    if (i >= table.size()) warp.block.fault(FaultKind::bad_operand, warp, in, lane, i);
    warp.lane_pc[lane] = i < table.size() ? table[i] : next;
  });
  warp.active = 0;
  warp.regroup();
}

void decode_brx(Decoder& d) {
  if (!d.take("idx")) d.refuse("expected .idx");
  d.take("uni");
  d.expect_operands(2, 2);
  if (d.operand(1).form != Operand::Form::label) d.refuse("expected the name of a table");
  d.in.src[0] = d.value(0, 32);
  d.in.target = static_cast<uint32_t>(d.operand(1).value);
  d.in.run = run_brx;
}

void run_exit(Warp& warp, const Instruction& in, uint32_t mask) {
  if (!warp.copies.empty()) check_copies_at_exit(warp, in, mask);
  warp.finish(mask);
}

void decode_exit(Decoder& d) {
  d.take("uni");
  d.expect_operands(0, 0);
  d.in.run = run_exit;
}

void run_trap(Warp& warp, const Instruction& in, uint32_t mask) {
  warp.block.fault(FaultKind::trap, warp, in, static_cast<uint32_t>(std::countr_zero(mask)));
  warp.block.stop();
  warp.live = warp.active = 0;
}

void decode_trap(Decoder& d) {
  d.expect_operands(0, 0);
  d.in.run = run_trap;
}

/// A barrier of the whole block. All lanes of the warp must come, none may have ended: that is what every
/// program that means the same on all hardware does.
void run_barrier(Warp& warp, const Instruction& in, uint32_t mask) {
  Block& block = warp.block;
  if (in.src[1] != kNone) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(mask));
    const auto count = get<uint32_t>(warp.at(in.src[1]), lane);
    if (count != (block.grid.launch.block.count() + kLanes - 1) / kLanes * kLanes) {
      block.fault(FaultKind::partial_barrier, warp, in, lane);
    }
  }
  mask = warp.gather(in, mask, warp.live, FaultKind::divergent_barrier);
  if (mask == 0) return;
  uint32_t votes = 0;
  if (in.src[0] != kNone) {
    votes = predicate(warp.at(in.src[0]));
    votes = (in.source_negated ? ~votes : votes) & mask;
  }
  block.arrive(warp, in, mask, votes);
}

void run_warp_barrier(Warp& warp, const Instruction& in, uint32_t mask) {
  each_tile(warp, in, mask, in.src[0], [&](uint32_t, uint32_t members) {
    const bool whole = (warp.present & ~members) == 0;
    warp.block.shadow.warp_barrier(warp.index, whole ? kAllLanes : members);
  });
}

void decode_red_barrier(Decoder& d, size_t operands) {
  const Type type = d.take_type();
  d.in.mode = d.take("popc") ? 0 : d.take("and") ? 1 : d.take("or") ? 2 : 3;
  if (d.in.mode == 3 || type != (d.in.mode == 0 ? Type::u32 : Type::pred))
    d.refuse("expected .popc.u32, .and.pred or .or.pred");
  d.expect_operands(3, 4);
  d.in.dst = d.result(0, d.in.mode == 0 ? 32 : 1);
  d.value(1, 32);
  if (operands == 4) d.in.src[1] = d.value(2, 32);
  d.in.src[0] = d.predicate(operands - 1);
}

/// bar.sync, barrier.sync, bar.red, bar.warp.sync. Barriers of the same block are told apart by where they
/// stand.
void decode_barrier(Decoder& d) {
  if (d.take("warp")) {
    if (!d.take("sync")) d.refuse("expected .sync");
    d.expect_operands(1, 1);
    d.in.src[0] = d.value(0, 32);
    d.in.run = run_warp_barrier;
    return;
  }
  d.take("cta");
  d.take("aligned");
  d.in.run = run_barrier;
  if (d.take("red")) {
    d.take("sync");
    return decode_red_barrier(d, d.operands());
  }
  if (!d.take("sync")) d.refuse("expected .sync or .red");
  d.expect_operands(1, 2);
  d.value(0, 32);
  if (d.operands() == 2) d.in.src[1] = d.value(1, 32);
}

/// Without effect on results: nanosleep, brkpt, pmevent.
void decode_nothing(Decoder& d) {
  if (d.last_type() == Type::u32) d.take_type();
  for (size_t i = 0; i < d.operands(); ++i) d.value(i, 32);
  d.in.run = run_nothing;
}

constexpr Operation kOperations[] = {{"bra", decode_bra},         {"brx", decode_brx},
                                     {"exit", decode_exit},       {"ret", decode_exit},
                                     {"trap", decode_trap},       {"bar", decode_barrier},
                                     {"barrier", decode_barrier}, {"nanosleep", decode_nothing},
                                     {"brkpt", decode_nothing},   {"pmevent", decode_nothing}};

}  // namespace

std::span<const Operation> control_operations() { return kOperations; }

Handler jump_handler() { return run_bra; }
Handler table_jump_handler() { return run_brx; }
Handler exit_handler() { return run_exit; }

Instruction make_exit() {
  Instruction in;
  in.run = run_exit;
  return in;
}

}  // namespace gristmill::emulator

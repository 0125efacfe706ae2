#include "emulator/block.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "emulator/ops/lanes.hpp"

namespace gristmill::emulator {
namespace {

constexpr uint64_t kLongestQuantum = 64, kPoison = 0xff;
constexpr uint64_t kWarpOrder = 2;

std::byte* aligned(std::vector<std::byte>& bytes) {
  const auto at = reinterpret_cast<uintptr_t>(bytes.data());
  return bytes.data() + ((at + 63) / 64 * 64 - at);
}

}  // namespace

Block::Block(const Grid& grid_) : grid(grid_) {
  const auto threads = static_cast<uint32_t>(grid.launch.block.count());
  const uint32_t warps = (threads + kLanes - 1) / kLanes;
  shared.resize(grid.kernel.static_shared + grid.launch.dynamic_shared);
  shadow.resize(static_cast<uint32_t>(shared.size()), grid.kernel.shared_granule);
  files_.resize(size_t{grid.kernel.file_bytes} * warps + 64);
  warps_.reserve(warps);
  for (uint32_t w = 0; w < warps; ++w) {
    Warp& warp = warps_.emplace_back(*this, w);
    warp.file = aligned(files_) + size_t{grid.kernel.file_bytes} * w;
    warp.local.resize(size_t{grid.kernel.local_bytes} * kLanes);
    for (const auto& constant : grid.kernel.constants)
      fill_lanes(warp.at(constant.slot), constant.bits, constant.value);
  }
}

uint64_t Block::special(const Warp& warp, Special special, uint32_t lane, uint32_t number) const {
  const Dim3 &size = grid.launch.block, &count = grid.launch.grid;
  const uint32_t thread = warp.thread(lane);
  switch (special) {
    case Special::tid_x:
      return thread % size.x;
    case Special::tid_y:
      return thread / size.x % size.y;
    case Special::tid_z:
      return thread / size.x / size.y;
    case Special::ntid_x:
      return size.x;
    case Special::ntid_y:
      return size.y;
    case Special::ntid_z:
      return size.z;
    case Special::ctaid_x:
      return number % count.x;
    case Special::ctaid_y:
      return number / count.x % count.y;
    case Special::ctaid_z:
      return number / count.x / count.y;
    case Special::nctaid_x:
      return count.x;
    case Special::nctaid_y:
      return count.y;
    case Special::nctaid_z:
      return count.z;
    case Special::laneid:
      return lane;
    case Special::warpid:
      return warp.index;
    case Special::nwarpid:
      return warps_.size();
    case Special::nsmid:
      return 1;
    case Special::lanemask_eq:
      return uint64_t{1} << lane;
    case Special::lanemask_lt:
      return (uint64_t{1} << lane) - 1;
    case Special::lanemask_le:
      return (uint64_t{2} << lane) - 1;
    case Special::lanemask_gt:
      return ~((uint64_t{2} << lane) - 1);
    case Special::lanemask_ge:
      return ~((uint64_t{1} << lane) - 1);
    case Special::dynamic_smem_size:
      return grid.launch.dynamic_shared;
    case Special::total_smem_size:
      return shared.size();
    default:
      return 0;  // one multiprocessor, one grid, no time
  }
}

void Block::set_special(Warp& warp, const Kernel::SpecialUse& use, uint32_t number) {
  for (uint32_t lane = 0; lane < kLanes; ++lane) {
    const uint64_t value = special(warp, use.special, lane, number);
    if (use.bits == 64) {
      put<uint64_t>(warp.at(use.slot), lane, value);
    } else if (use.bits == 32) {
      put<uint32_t>(warp.at(use.slot), lane, static_cast<uint32_t>(value));
    } else {
      put<uint16_t>(warp.at(use.slot), lane, static_cast<uint16_t>(value));
    }
  }
}

void Block::prepare(Warp& warp, uint32_t number) {
  const uint64_t threads = grid.launch.block.count() - uint64_t{warp.index} * kLanes;
  warp.restart(threads >= kLanes ? kAllLanes : (uint32_t{1} << threads) - 1);
  for (const auto& use : grid.kernel.specials) set_special(warp, use, number);
  for (const auto& slot : grid.kernel.cleared) std::memset(warp.at(slot.offset), 0, slot.bytes);
  std::fill(warp.local.begin(), warp.local.end(), static_cast<std::byte>(kPoison));
}

BlockResult Block::run(uint32_t number) {
  counters = {};
  faults_.clear();
  votes_.clear();
  omitted_ = 0;
  stopped_ = false;
  nowhere.fill(static_cast<std::byte>(kPoison));
  touches.begin_block(grid.kernel.code.size());
  std::fill(shared.begin(), shared.end(), static_cast<std::byte>(kPoison));
  shadow.begin_block(static_cast<uint32_t>(warps_.size()));
  for (Warp& warp : warps_) prepare(warp, number);
  Rng rng(grid.options.seed, stream_of(RandomStream::test, kWarpOrder << 40 | number));
  schedule(rng);
  compare_warps();
  return {number, std::move(faults_), omitted_, counters, touches.take()};
}

void Block::shuffle(Rng& rng) {
  order_.resize(warps_.size());
  for (uint32_t i = 0; i < order_.size(); ++i) order_[i] = i;
  if (grid.options.seed == 0) return;
  for (size_t i = order_.size(); i > 1; --i) std::swap(order_[i - 1], order_[rng.below(i)]);
}

void Block::schedule(Rng& rng) {
  const bool random = grid.options.seed != 0;
  shuffle(rng);
  while (!stopped_) {
    bool ran = false;
    const uint64_t draw = random ? rng.bits() : 0;
    const uint64_t quantum = random ? 1 + draw % kLongestQuantum : UINT64_MAX;
    if (random && (draw >> 32 & 15) == 0) shuffle(rng);
    for (const uint32_t w : order_) {
      ran = advance(warps_[w], quantum) || ran;
      if (stopped_ || (ran && random)) break;
    }
    if (!ran && !release()) return;
  }
}

bool Block::advance(Warp& warp, uint64_t quantum) {
  if (!warp.can_run()) return false;
  const Instruction* code = grid.kernel.code.data();
  uint8_t* seen = grid.options.seen == nullptr ? nullptr : grid.options.seen->data();
  uint64_t threads = 0, steps = 0;
  const uint64_t left =
      grid.options.max_instructions - std::min(grid.options.max_instructions, counters.warp_instructions);
  const uint64_t budget = std::min(quantum, left);
  while (steps < budget && warp.can_run() && !stopped_) {
    const Instruction& in = code[warp.pc];
    uint32_t mask = warp.active;
    if (in.guard != kNone) {
      const auto guard = get<uint32_t>(warp.at(in.guard), 0);
      mask &= in.guard_negated ? ~guard : guard;
    }
    if (seen != nullptr) {
      seen[warp.pc] |= static_cast<uint8_t>((mask != 0 ? kDone : 0) | (mask != warp.active ? kKept : 0));
    }
    ++warp.pc;
    ++steps;
    threads += static_cast<uint64_t>(std::popcount(mask));
    if (mask != 0) in.run(warp, in, mask);
    if (warp.pc >= warp.others) warp.regroup();
  }
  counters.warp_instructions += steps;
  counters.thread_instructions += threads;
  if (warp.can_run() && counters.warp_instructions >= grid.options.max_instructions) {
    fault(FaultKind::no_progress, warp, code[warp.pc], static_cast<uint32_t>(std::countr_zero(warp.active)));
    stop();
  }
  return true;
}

void Block::arrive(Warp& warp, const Instruction& in, uint32_t mask, uint32_t votes) {
  votes_.push_back({&warp, &in, mask, votes});
  warp.wait(mask);
}

void Block::finish_votes() {
  uint32_t sum = 0;
  for (const Vote& vote : votes_) sum += static_cast<uint32_t>(std::popcount(vote.votes));
  const auto threads = static_cast<uint32_t>(grid.launch.block.count());
  for (const Vote& vote : votes_) {
    if (vote.in->dst == kNone) continue;
    std::byte* dst = vote.warp->at(vote.in->dst);
    if (vote.in->mode == 0) {
      each_lane<uint32_t>(dst, vote.mask, [&](size_t) { return sum; });
    } else {
      const bool result = vote.in->mode == 1 ? sum == threads : sum > 0;
      put_predicate(dst, vote.mask, result ? vote.mask : 0);
    }
  }
  votes_.clear();
}

bool Block::release() {
  if (votes_.empty()) return false;
  const Vote& first = votes_.front();
  for (const Vote& vote : votes_) {
    if (vote.in != first.in) {
      fault(FaultKind::divergent_barrier, *vote.warp, *vote.in,
            static_cast<uint32_t>(std::countr_zero(vote.mask)));
      break;
    }
  }
  for (const Warp& warp : warps_) {
    if (warp.live == warp.present) continue;
    fault(FaultKind::divergent_barrier, warp, *first.in,
          static_cast<uint32_t>(std::countr_zero(warp.present & ~warp.live)));
    break;
  }
  ++counters.barriers;
  shadow.block_barrier();
  compare_warps();
  finish_votes();
  for (Warp& warp : warps_) warp.release();
  return true;
}

void Block::compare_warps() {
  for (const TouchLog::Conflict& conflict : touches.barrier()) {
    add_fault(FaultKind::global_warp_race, conflict.touch.pc, conflict.touch.thread, conflict.address);
  }
}

void Block::fault(FaultKind kind, const Warp& warp, const Instruction& in, uint32_t lane, uint64_t where) {
  add_fault(kind, pc_of(in), warp.thread(lane), where);
}

void Block::add_fault(FaultKind kind, uint32_t pc, uint32_t thread, uint64_t where) {
  for (RawFault& known : faults_) {
    if (known.kind == kind && known.pc == pc) {
      ++known.count;
      return;
    }
  }
  if (grid.options.stop_at_fault) stop();
  if (faults_.size() >= grid.options.max_faults) {
    ++omitted_;
    return;
  }
  faults_.push_back({kind, pc, thread, where, 1});
}

}  // namespace gristmill::emulator

#include "emulator/launch.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "base/error.hpp"
#include "base/parallel.hpp"
#include "base/rng.hpp"
#include "base/str.hpp"
#include "emulator/block.hpp"
#include "emulator/touches.hpp"

namespace gristmill::emulator {
namespace {

constexpr uint32_t kMostThreads = 1024, kMostDepth = 64, kMostRows = 65535, kMostCols = 0x7fffffff;
constexpr uint32_t kUsualShared = 48 * 1024;
constexpr uint64_t kMostBlocks = uint64_t{1} << 29, kBlockOrder = uint64_t{1} << 40;

void check(const Kernel& kernel, const Launch& launch) {
  const auto refuse = [&](const std::string& why) { fail(Kind::device, "kernel ", kernel.name, ": ", why); };
  const Dim3 &grid = launch.grid, &block = launch.block;
  if (grid.count() == 0 || block.count() == 0) refuse("a grid or a block without threads");
  if (grid.x > kMostCols || grid.y > kMostRows || grid.z > kMostRows) {
    refuse(str("grid ", grid.x, " x ", grid.y, " x ", grid.z, ": at most ", kMostCols, " x ", kMostRows,
               " x ", kMostRows));
  }
  if (block.x > kMostThreads || block.y > kMostThreads || block.z > kMostDepth ||
      block.count() > kMostThreads) {
    refuse(str("block ", block.x, " x ", block.y, " x ", block.z, ": at most 1024 threads, 64 deep"));
  }
  if (grid.count() > kMostBlocks) refuse("more than 2^29 blocks: too many to emulate");
  const auto& bound = kernel.max_threads;
  const uint64_t most = uint64_t{bound[0]} * bound[1] * bound[2];
  if (most > 0 && block.count() > most) refuse(str(block.count(), " threads, its launch bound is ", most));
  if (kernel.exact_threads && (block.x != bound[0] || block.y != bound[1] || block.z != bound[2])) {
    refuse(str("its blocks must be ", bound[0], " x ", bound[1], " x ", bound[2]));
  }
  if (kernel.static_shared > kUsualShared) refuse("more than 48 KiB of static shared memory");
  const uint32_t usual = kUsualShared - kernel.static_shared,
                 most_dynamic = kMostShared - kernel.static_shared;
  const uint32_t allowed =
      launch.dynamic_shared_limit == 0 ? usual : std::min(launch.dynamic_shared_limit, most_dynamic);
  if (launch.dynamic_shared > allowed) {
    refuse(str(launch.dynamic_shared, " bytes of dynamic shared memory beside ", kernel.static_shared,
               " static ones: ", allowed,
               launch.dynamic_shared_limit == 0 ? " are allowed until the kernel's attribute is set"
                                                : " are allowed"));
  }
  if (launch.parameters.size() != kernel.parameter_bytes) {
    refuse(str(launch.parameters.size(), " bytes of parameters, it takes ", kernel.parameter_bytes));
  }
}

/// Blocks in the order in which they start: a cheap permutation, so that no list of them is needed.
class BlockOrder {
 public:
  BlockOrder(uint64_t blocks, uint64_t seed) : blocks_(blocks) {
    if (seed == 0) return;
    Rng rng(seed, stream_of(RandomStream::test, kBlockOrder));
    start_ = rng.below(blocks);
    do {
      step_ = 1 + rng.below(blocks);
    } while (!coprime(step_, blocks));
  }
  uint32_t operator[](uint64_t i) const { return static_cast<uint32_t>((start_ + i * step_) % blocks_); }

 private:
  static bool coprime(uint64_t a, uint64_t b) {
    while (b != 0) a = std::exchange(b, a % b);
    return a == 1;
  }
  uint64_t blocks_, start_ = 0, step_ = 1;
};

Dim3 split_index(uint32_t index, const Dim3& size) {
  return {index % size.x, index / size.x % size.y, index / size.x / size.y};
}

/// Gathers the results of blocks in their order. A block that traps or hangs ends the launch: later ones do
/// not count.
class Collector {
 public:
  explicit Collector(const Grid& grid) : grid_(grid), table_(grid.kernel.global_granule) {}

  void add(BlockResult&& result) {
    if (ended_) return;
    report_.counters.add(result.counters);
    report_.omitted_faults += result.omitted_faults;
    for (const RawFault& fault : result.faults) add(fault, result.block, {});
    for (const TouchTable::Race& race : table_.add(result.touches, result.block)) {
      const Dim3 other = split_index(race.other_block, grid_.launch.grid);
      const std::string detail = str("the other block is ", other.x, ",", other.y, ",", other.z, ", ");
      add({FaultKind::global_race, race.touch.pc, race.touch.thread, race.address, race.count}, result.block,
          detail);
    }
  }
  bool ended() const { return ended_; }
  Report take() { return std::move(report_); }

 private:
  void add(const RawFault& raw, uint32_t block, const std::string& detail) {
    const bool last = raw.kind == FaultKind::trap || raw.kind == FaultKind::no_progress;
    if (last || grid_.options.stop_at_fault) ended_ = true;
    for (size_t i = 0; i < sites_.size(); ++i) {
      if (sites_[i] == std::pair(raw.kind, raw.pc)) {
        report_.faults[i].count += raw.count;
        return;
      }
    }
    if (sites_.size() >= grid_.options.max_faults) {
      ++report_.omitted_faults;
      return;
    }
    sites_.emplace_back(raw.kind, raw.pc);
    const Kernel& kernel = grid_.kernel;
    report_.faults.push_back({raw.kind, kernel.name, kernel.texts[raw.pc], kernel.lines[raw.pc],
                              split_index(block, grid_.launch.grid),
                              split_index(raw.thread, grid_.launch.block), raw.address,
                              detail + describe(raw), raw.count});
  }
  std::string describe(const RawFault& raw) const {
    if (raw.kind <= FaultKind::global_warp_race) return grid_.memory.describe(raw.address);
    const bool has_offset =
        (raw.kind >= FaultKind::shared_out_of_bounds && raw.kind <= FaultKind::copy_in_flight) ||
        (raw.kind >= FaultKind::local_out_of_bounds && raw.kind <= FaultKind::parameter_out_of_bounds);
    return has_offset ? str("byte ", raw.address) : std::string();
  }

  const Grid& grid_;
  TouchTable table_;
  Report report_;
  std::vector<std::pair<FaultKind, uint32_t>> sites_;
  std::atomic<bool> ended_ = false;
};

/// Blocks that no thread uses at the moment.
class BlockPool {
 public:
  explicit BlockPool(const Grid& grid) : grid_(grid) {}
  BlockResult run(uint32_t number) {
    std::unique_ptr<Block> block = take();
    BlockResult result = block->run(number);
    const std::scoped_lock lock(mutex_);
    idle_.push_back(std::move(block));
    return result;
  }

 private:
  std::unique_ptr<Block> take() {
    {
      const std::scoped_lock lock(mutex_);
      if (!idle_.empty()) {
        std::unique_ptr<Block> block = std::move(idle_.back());
        idle_.pop_back();
        return block;
      }
    }
    return std::make_unique<Block>(grid_);
  }
  const Grid& grid_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Block>> idle_;
};

}  // namespace

std::vector<std::byte> pack_parameters(const Kernel& kernel, const void* const* values) {
  std::vector<std::byte> bytes(kernel.parameter_bytes);
  for (size_t i = 0; i < kernel.parameters.size(); ++i) {
    const Parameter& parameter = kernel.parameters[i];
    if (parameter.size > 0) std::memcpy(bytes.data() + parameter.offset, values[i], parameter.size);
  }
  return bytes;
}

Report launch(Memory& memory, const Kernel& kernel, const Launch& launch, const LaunchOptions& options) {
  check(kernel, launch);
  const Grid grid = {memory, kernel, launch, options};
  const uint64_t blocks = launch.grid.count();
  const BlockOrder order(blocks, options.seed);
  if (options.seen != nullptr) options.seen->resize(kernel.code.size());
  Collector collector(grid);
  BlockPool pool(grid);
  uint64_t next = 0;
  const auto threads =
      static_cast<int>(std::min<uint64_t>(blocks, static_cast<uint64_t>(std::max(options.threads, 1))));
  ordered_parallel<uint32_t, BlockResult>(
      threads,
      [&]() -> std::optional<uint32_t> {
        return next < blocks && !collector.ended() ? std::optional(order[next++]) : std::nullopt;
      },
      [&](uint32_t&& number) { return pool.run(number); },
      [&](BlockResult&& result) { collector.add(std::move(result)); });
  return collector.take();
}

}  // namespace gristmill::emulator

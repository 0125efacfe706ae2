// The shadow of shared memory against a model that keeps every access and compares each new one with all
// before it.
#include "emulator/shadow.hpp"

#include <array>
#include <utility>

#include "device.hpp"

using namespace gristmill;
using namespace gristmill::test;
using emulator::SharedShadow;

namespace {

using emulator::Use;

struct Access {
  uint32_t thread = 0, barrier = 0, warp_barrier = 0;
  Use use = Use::read;
};

/// One cell: everything that happened to it.
class Model {
 public:
  uint32_t access(const Access& now) {
    const Access* last = nullptr;  // plain write: one before it that is open was told when it came
    bool atomic = false, open_atomic = false, open_read = false;
    for (const Access& before : history_) {
      if (before.use == Use::write) last = &before;
      atomic = atomic || before.use == Use::atomic;
      open_atomic = open_atomic || (before.use == Use::atomic && open(before, now));
      open_read = open_read || (before.use == Use::read && open(before, now));
    }
    uint32_t faults = 0;
    if (last == nullptr && !atomic && now.use != Use::write)
      faults |= SharedShadow::bit(FaultKind::shared_uninitialised);
    const bool race = (last != nullptr && open(*last, now)) || (open_atomic && now.use != Use::atomic);
    if (race) {
      faults |= SharedShadow::bit(now.use == Use::read ? FaultKind::shared_read_after_write
                                                       : FaultKind::shared_write_after_write);
    }
    if (now.use != Use::read && open_read) faults |= SharedShadow::bit(FaultKind::shared_write_after_read);
    history_.push_back(now);
    return faults;
  }

 private:
  static bool open(const Access& before, const Access& now) {
    if (before.thread == now.thread || before.barrier != now.barrier) return false;
    return before.thread / 32 != now.thread / 32 || before.warp_barrier == now.warp_barrier;
  }
  std::vector<Access> history_;
};

}  // namespace

TEST_CASE("the shadow finds exactly the races that a comparison of all accesses finds", "[emulator]") {
  for (uint64_t round = 0; round < 40; ++round) {
    Rng rng(round, stream_of(RandomStream::test));
    SharedShadow shadow;
    shadow.resize(16, 4);
    for (int block = 0; block < 3; ++block) {
      shadow.begin_block(3);
      std::vector<Model> models(4);
      uint32_t barrier = 0;
      std::vector<uint32_t> warp_barriers(3, 0);
      for (int step = 0; step < 120; ++step) {
        const uint64_t draw = rng.below(20);
        if (draw == 0) {
          shadow.block_barrier();
          ++barrier;
        } else if (draw < 4) {
          const auto warp = static_cast<uint32_t>(rng.below(3));
          shadow.warp_barrier(warp);
          ++warp_barriers[warp];
        } else {
          const auto thread = static_cast<uint32_t>(rng.below(3) * 32 + rng.below(3));
          const auto cell = static_cast<uint32_t>(rng.below(4));
          const uint64_t kind = rng.below(9);
          const Use use = kind < 3 ? Use::write : kind < 5 ? Use::atomic : Use::read;
          const uint32_t faults = shadow.access(thread, cell * 4, 4, use);
          INFO("round " << round << " block " << block << " step " << step);
          REQUIRE(faults == models[cell].access({thread, barrier, warp_barriers[thread / 32], use}));
        }
      }
    }
  }
}

namespace {

/// Everything that happened to one cell of a warp whose lanes synchronise in parts. Access i of lane b was
/// seen by lane a if clock[a][b] > i's number.
class PartialModel {
 public:
  static constexpr size_t kWidth = 5;
  void synchronise(uint32_t lanes) {
    std::array<size_t, kWidth> seen = {};
    for (size_t a = 0; a < kWidth; ++a) {
      for (size_t b = 0; b < kWidth && (lanes >> a & 1) != 0; ++b) seen[b] = std::max(seen[b], clock_[a][b]);
    }
    for (size_t a = 0; a < kWidth; ++a) {
      if ((lanes >> a & 1) != 0) seen[a] = history_.size();
    }
    for (size_t a = 0; a < kWidth; ++a) {
      if ((lanes >> a & 1) != 0) clock_[a] = seen;
    }
  }
  uint32_t access(uint32_t lane, Use use) {
    bool written = false, open_last = false, open_atomic = false, open_read = false, modified = false;
    for (size_t i = 0; i < history_.size(); ++i) {
      const auto [other, before] = history_[i];
      const bool open = other != lane && i >= clock_[lane][other];
      if (before == Use::write) open_last = open;
      written = written || before == Use::write;
      modified = modified || before == Use::atomic;
      open_atomic = open_atomic || (before == Use::atomic && open);
      open_read = open_read || (before == Use::read && open);
    }
    history_.emplace_back(lane, use);
    uint32_t faults = 0;
    if (!written && !modified && use != Use::write)
      faults |= SharedShadow::bit(FaultKind::shared_uninitialised);
    if (open_last || (open_atomic && use != Use::atomic)) {
      faults |= SharedShadow::bit(use == Use::read ? FaultKind::shared_read_after_write
                                                   : FaultKind::shared_write_after_write);
    }
    if (use != Use::read && open_read) faults |= SharedShadow::bit(FaultKind::shared_write_after_read);
    return faults;
  }

 private:
  std::vector<std::pair<uint32_t, Use>> history_;
  std::array<std::array<size_t, kWidth>, kWidth> clock_ = {};
};

}  // namespace

TEST_CASE("lanes that synchronise in parts: no race is missed, and hardly a false one told", "[emulator]") {
  int accesses = 0, races = 0, false_alarms = 0;
  for (uint64_t round = 0; round < 20000; ++round) {
    Rng rng(round, stream_of(RandomStream::test, 1));
    SharedShadow shadow;
    shadow.resize(4, 4);
    shadow.begin_block(1);
    PartialModel model;
    for (int step = 0; step < 30; ++step) {
      if (rng.below(3) == 0) {
        const auto lanes = static_cast<uint32_t>(rng.below(1 << PartialModel::kWidth));
        shadow.warp_barrier(0, lanes);
        model.synchronise(lanes);
        continue;
      }
      const auto lane = static_cast<uint32_t>(rng.below(PartialModel::kWidth));
      const uint64_t kind = rng.below(9);
      const Use use = kind < 2 ? Use::write : kind < 4 ? Use::atomic : Use::read;
      const uint32_t faults = shadow.access(lane, 0, 4, use), expected = model.access(lane, use);
      INFO("round " << round << " step " << step);
      REQUIRE((faults & expected) == expected);
      ++accesses;
      races += expected != 0 ? 1 : 0;
      false_alarms += faults != expected ? 1 : 0;
      const auto race = expected & ~SharedShadow::bit(FaultKind::shared_uninitialised);
      if (race != 0) break;  // what comes behind it is not worth much
    }
  }
  INFO(accesses << " accesses, " << races << " races, " << false_alarms << " false alarms");
  CHECK(races > accesses / 10);
  CHECK(races < accesses * 9 / 10);
  CHECK(false_alarms < accesses / 1000);
}

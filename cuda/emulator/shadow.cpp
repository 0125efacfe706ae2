#include "emulator/shadow.hpp"

#include <algorithm>
#include <bit>

namespace gristmill::emulator {

void SharedShadow::resize(uint32_t bytes, uint32_t granule) {
  shift_ = static_cast<uint32_t>(std::countr_zero(granule));
  cells_.assign((bytes + granule - 1) >> shift_, {});
  atomics_.clear();
}

void SharedShadow::begin_block(uint32_t warps) {
  if (now_ > UINT32_MAX / 2) {  // before time runs over
    std::fill(cells_.begin(), cells_.end(), Cell{});
    std::fill(atomics_.begin(), atomics_.end(), Group{});
    now_ = 1;
  }
  warp_time_.resize(warps);
  block_barrier();
  begin_ = now_;
  if (open_copies_ > 0) {
    for (Cell& cell : cells_) cell.copies = 0;
  }
  open_copies_ = 0;
}

void SharedShadow::block_barrier() {
  block_time_ = ++now_;
  std::fill(warp_time_.begin(), warp_time_.end(), now_);
  partial_ = 0;
}

void SharedShadow::warp_barrier(uint32_t warp, uint32_t lanes) {
  ++now_;
  if (lanes == UINT32_MAX) {
    warp_time_[warp] = now_;
    partial_ &= ~(uint32_t{1} << warp);
    return;
  }
  clocks_.resize(warp_time_.size());
  Clocks& clocks = clocks_[warp];
  if (!partial(warp)) {
    for (auto& lane : clocks) lane.fill(warp_time_[warp]);
    partial_ |= uint32_t{1} << warp;
  }
  std::array<uint32_t, 32> together = {};
  const auto each = [&](const auto& body) {
    for (uint32_t left = lanes; left != 0; left &= left - 1)
      body(static_cast<uint32_t>(std::countr_zero(left)));
  };
  each([&](uint32_t lane) {
    for (size_t other = 0; other < 32; ++other)
      together[other] = std::max(together[other], clocks[lane][other]);
  });
  each([&](uint32_t lane) { together[lane] = now_; });
  each([&](uint32_t lane) { clocks[lane] = together; });
}

uint32_t SharedShadow::open_lanes(uint32_t thread, uint32_t lanes, uint32_t time) const {
  const auto& until = clocks_[thread >> 5][thread & 31];
  uint32_t result = 0;
  for (; lanes != 0; lanes &= lanes - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(lanes));
    if (lane != (thread & 31) && time >= until[lane]) result |= uint32_t{1} << lane;
  }
  return result;
}

uint32_t SharedShadow::modify(uint32_t index, uint32_t thread) {
  Cell& cell = cells_[index];
  Group& atomics = atomics_[index];
  uint32_t faults = 0;
  if (cell.copies != 0) faults |= bit(FaultKind::copy_in_flight);
  if (cell.write_time < begin_ && atomics.time < begin_) faults |= bit(FaultKind::shared_uninitialised);
  if (open(thread, cell.writer, cell.write_time)) faults |= bit(FaultKind::shared_write_after_write);
  if (open(cell, thread)) faults |= bit(FaultKind::shared_write_after_read);
  add(atomics, thread);
  return faults;
}

void SharedShadow::copy_end(uint32_t thread, uint32_t offset, uint32_t bytes) {
  for (uint32_t i = offset >> shift_; i <= (offset + bytes - 1) >> shift_; ++i) {
    Cell& cell = cells_[i];
    if (cell.copies > 0) {
      --cell.copies;
      --open_copies_;
    }
    cell.writer = static_cast<uint16_t>(thread);
    cell.write_time = now_;
  }
}

}  // namespace gristmill::emulator

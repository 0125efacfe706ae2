#include "emulator/shadow.hpp"

#include <algorithm>

namespace gristmill::emulator {

void SharedShadow::resize(uint32_t bytes, uint32_t granule) {
  shift_ = static_cast<uint32_t>(std::countr_zero(granule));
  cells_.assign((bytes + granule - 1) >> shift_, {});
}

void SharedShadow::begin_block(uint32_t count) {
  if (now_ > UINT32_MAX / 2) {  // before time runs over
    std::fill(cells_.begin(), cells_.end(), Cell{});
    now_ = 1;
  }
  begin_ = block_time_ = ++now_;
  warp_time_.assign(count, now_);
  if (open_copies_ > 0) {
    for (Cell& cell : cells_) cell.copies = 0;
  }
  open_copies_ = 0;
}

void SharedShadow::block_barrier() {
  block_time_ = ++now_;
  std::fill(warp_time_.begin(), warp_time_.end(), now_);
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
    cell.atomic = false;
  }
}

}  // namespace gristmill::emulator

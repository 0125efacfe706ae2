#include "runtime/cpu/panels.hpp"

#include <algorithm>

#include "runtime/host_memory.hpp"

namespace gristmill::runtime::cpu {

namespace {

constexpr int64_t kLine = 16, kMostOfBlock = int64_t{8} << 20;  // floats

size_t extent(int64_t rows, int64_t cols, int64_t stride, DType dtype) {
  return rows > 0 ? static_cast<size_t>((rows - 1) * stride + cols) * size_of(dtype) : 0;
}

}  // namespace

PanelCache::Key PanelCache::key_of(const ConstView& b, bool transposed) {
  return {static_cast<const char*>(b.data), b.dtype, b.rows, b.cols, b.stride, transposed};
}

const char* PanelCache::end_of(const Key& key) {
  return key.data + extent(key.rows, key.cols, key.stride, key.dtype);
}

PanelCache::Panels* PanelCache::find(const ConstView& b, bool transposed) {
  const auto found = kept_.find(key_of(b, transposed));
  return found == kept_.end() ? nullptr : &found->second;
}

/// Blocks grow with what is kept, up to 32 MiB, so that a small model takes little.
std::shared_ptr<float> PanelCache::take(int64_t floats) {
  floats = (floats + kLine - 1) / kLine * kLine;
  auto block = block_.lock();
  if (block == nullptr || block_floats_ - block_taken_ < floats) {
    const int64_t next = block == nullptr ? 0 : std::min(2 * block_floats_, kMostOfBlock);
    block_floats_ = std::max(floats, next);
    block_taken_ = 0;
    const auto bytes = static_cast<size_t>(block_floats_) * sizeof(float);
    block = std::shared_ptr<float>(static_cast<float*>(allocate_host(bytes, "cpu")), release_host);
    block_ = block;
  }
  float* const part = block.get() + block_taken_;
  block_taken_ += floats;
  return {block, part};
}

PanelCache::Panels& PanelCache::get(const ConstView& b, bool transposed, int64_t floats) {
  const Key key = key_of(b, transposed);
  Panels& panels = kept_[key];
  if (panels.floats == nullptr) {
    panels.floats = take(floats);
  }
  low_ = low_ == nullptr ? key.data : std::min(low_, key.data);
  high_ = std::max(high_, end_of(key));
  return panels;
}

void PanelCache::written(const void* memory, size_t bytes) {
  const char* begin = static_cast<const char*>(memory);
  const char* end = begin + bytes;
  if (outside(begin, end)) return;
  for (auto& [key, panels] : kept_) {
    if (begin < end_of(key) && key.data < end) panels.fresh = false;
  }
}

void PanelCache::written(const View& out) {
  written(out.data, extent(out.rows, out.cols, out.stride, out.dtype));
}

void PanelCache::forget(const void* memory, size_t bytes) {
  const char* begin = static_cast<const char*>(memory);
  const char* end = begin + bytes;
  if (outside(begin, end)) return;
  std::erase_if(kept_,
                [&](const auto& entry) { return begin < end_of(entry.first) && entry.first.data < end; });
  low_ = high_ = nullptr;
  for (const auto& [key, panels] : kept_) {
    low_ = low_ == nullptr ? key.data : std::min(low_, key.data);
    high_ = std::max(high_, end_of(key));
  }
}

}  // namespace gristmill::runtime::cpu

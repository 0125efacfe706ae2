#include "runtime/cpu/panels.hpp"

#include <algorithm>

namespace gristmill::runtime::cpu {

namespace {

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

PanelCache::Panels& PanelCache::get(const ConstView& b, bool transposed, int64_t floats) {
  const Key key = key_of(b, transposed);
  Panels& panels = kept_[key];
  if (panels.floats == nullptr) {
    panels.floats.reset(
        static_cast<float*>(allocate_host(static_cast<size_t>(floats) * sizeof(float), "cpu")));
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

#include "cuda/kept_weights.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace gristmill::runtime::cuda {

namespace {

/// What is left to others: copies are made in the first products, before all scratch has grown.
constexpr size_t kSpare = size_t{256} << 20;
constexpr int64_t kRun = 8, kCopied = 2;  // elements of 16 bytes, and the bytes of one (bf16)

}  // namespace

int64_t KeptWeights::Weight::pitch() const { return (first.cols + kRun - 1) / kRun * kRun; }
int64_t KeptWeights::Weight::copy_bytes() const { return count * first.rows * pitch() * kCopied; }

ConstView KeptWeights::Weight::matrix(int64_t index) const {
  ConstView view = first;
  view.data =
      static_cast<const char*>(first.data) + index * apart * static_cast<int64_t>(size_of(first.dtype));
  return view;
}

View KeptWeights::Weight::copy_of(const Copy& copy, int64_t index) const {
  View view(copy.data + index * first.rows * pitch() * kCopied, DType::bf16, first.rows, first.cols);
  view.stride = pitch();
  return view;
}

KeptWeights::~KeptWeights() {
  try {
    for (const auto& [key, copy] : kept_) gpu_.release(copy.data);
  } catch (const Error&) {
    return;  // the GPU was lost before, and whoever waited for it knows
  }
}

KeptWeights::Key KeptWeights::key_of(const Weight& weight) {
  const ConstView& view = weight.first;
  return {static_cast<const char*>(view.data), view.rows, view.cols, view.stride, weight.count,
          weight.count > 1 ? weight.apart : 0, view.dtype};
}

KeptWeights::Weight KeptWeights::weight_of(const Key& key) {
  ConstView view;
  view.data = key.data;
  view.dtype = key.dtype;
  view.rows = key.rows;
  view.cols = key.cols;
  view.stride = key.stride;
  return {view, key.count, key.apart};
}

const char* KeptWeights::end_of(const Key& key) {
  const int64_t elements = (key.count - 1) * key.apart + (key.rows - 1) * key.stride + key.cols;
  return key.data + elements * static_cast<int64_t>(size_of(key.dtype));
}

KeptWeights::Copy* KeptWeights::get(const Weight& weight) {
  const Key key = key_of(weight);
  const auto known = kept_.find(key);
  if (known != kept_.end()) return &known->second;
  if (full_ || given_up_ || gpu_.is_recording()) return nullptr;
  const auto bytes = static_cast<size_t>(weight.copy_bytes());
  char* const memory =
      gpu_.free_bytes() < bytes + kSpare ? nullptr : static_cast<char*>(gpu_.try_allocate(bytes));
  if (memory == nullptr) {
    full_ = true;
    return nullptr;
  }
  Copy& copy = kept_[key];
  copy.data = memory;
  bytes_ += weight.copy_bytes();
  low_ = low_ == nullptr ? key.data : std::min(low_, key.data);
  high_ = std::max(high_, end_of(key));
  return &copy;
}

void KeptWeights::written(const void* memory, size_t bytes) {
  const char* begin = static_cast<const char*>(memory);
  const char* end = begin + bytes;
  if (outside(begin, end)) return;
  for (auto& [key, copy] : kept_) {
    if (begin < end_of(key) && key.data < end) copy.fresh = false;
  }
}

void KeptWeights::forget(const void* memory, size_t bytes) {
  const char* begin = static_cast<const char*>(memory);
  const char* end = begin + bytes;
  full_ = false;
  if (outside(begin, end)) return;
  std::vector<char*> copies;
  low_ = high_ = nullptr;
  for (auto at = kept_.begin(); at != kept_.end();) {
    const char* to = end_of(at->first);
    if (begin < to && at->first.data < end) {
      copies.push_back(at->second.data);
      bytes_ -= weight_of(at->first).copy_bytes();
      at = kept_.erase(at);
      continue;
    }
    low_ = low_ == nullptr ? at->first.data : std::min(low_, at->first.data);
    high_ = std::max(high_, to);
    ++at;
  }
  for (char* copy : copies) gpu_.release(copy);
}

bool KeptWeights::give_up() {
  given_up_ = true;
  std::vector<char*> copies;
  for (const auto& [key, copy] : kept_) copies.push_back(copy.data);
  kept_.clear();
  low_ = high_ = nullptr;
  bytes_ = 0;
  for (char* copy : copies) gpu_.release(copy);
  return !copies.empty();
}

std::vector<KeptWeights::Weight> KeptWeights::outdated() const {
  std::vector<Weight> all;
  for (const auto& [key, copy] : kept_) {
    if (!copy.fresh) all.push_back(weight_of(key));
  }
  return all;
}

}  // namespace gristmill::runtime::cuda

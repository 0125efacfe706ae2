#pragma once

// What the handles of the emulated cuBLASLt stand for.

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "cuda/cublas/cublas.hpp"

namespace gristmill::emulator::cublas {

namespace cuda = runtime::cuda;

/// A matrix, column-major.
struct Layout {
  int type = 0;
  int64_t rows = 0, cols = 0, pitch = 0;
};

struct Product {
  int compute = 0, scale = 0;
  int transpose_a = cuda::kAsStored, transpose_b = cuda::kAsStored;
  uint32_t epilogue = cuda::kEpilogueNone;
  uint64_t bias = 0;  ///< its address on the GPU
};

struct Preference {
  uint64_t most_workspace = 0;
  uint32_t reductions = 7;  ///< any
  uint32_t align_a = 256, align_b = 256, align_c = 256, align_d = 256;
};

struct Handle {
  uint64_t created = 0;  ///< the how manieth
};

/// Sets an attribute: kCublasInvalidValue where the size is not the attribute's; Error{device} for one that
/// the emulator does not have.
cuda::CublasStatus set(Product& product, cuda::ProductAttribute attribute, const void* value, size_t bytes);
cuda::CublasStatus set(Preference& preference, cuda::PreferenceAttribute attribute, const void* value,
                       size_t bytes);

/// Objects that are alive, by their addresses. Its methods are safe beside each other.
template <class Object>
class Alive {
 public:
  Object* add(const Object& object) {
    const std::scoped_lock lock(mutex_);
    auto made = std::make_unique<Object>(object);
    Object* const handle = made.get();
    all_.emplace(handle, std::move(made));
    return handle;
  }
  /// Null for one that is not alive.
  Object* find(const void* handle) {
    const std::scoped_lock lock(mutex_);
    const auto at = all_.find(handle);
    return at == all_.end() ? nullptr : at->second.get();
  }
  bool remove(const void* handle) {
    const std::scoped_lock lock(mutex_);
    return all_.erase(handle) > 0;
  }

 private:
  std::mutex mutex_;
  std::map<const void*, std::unique_ptr<Object>> all_;
};

}  // namespace gristmill::emulator::cublas

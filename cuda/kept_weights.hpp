#pragma once

// Weights in the compute type, kept from product to product until something writes to what they were made
// from: rounding a weight anew at every product reads and writes six bytes an element, forward, backward and
// for each micro-batch. A copy serves both directions. Its place stays the same while the weight's own memory
// lives, so that recorded work may refer to it; the memory of an outdated copy is filled anew.

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "cuda/gpu.hpp"
#include "runtime/tensor.hpp"

namespace gristmill::runtime::cuda {

class KeptWeights {
 public:
  struct Copy {
    char* data = nullptr;
    bool fresh = false;  ///< holds what the weight holds now
  };
  /// `count` matrices like `first`, `apart` elements from one to the next.
  struct Weight {
    ConstView first;
    int64_t count = 1, apart = 0;

    int64_t pitch() const;  ///< elements from row to row of the copy, which begin on 16 bytes
    int64_t copy_bytes() const;
    ConstView matrix(int64_t index) const;
    View copy_of(const Copy& copy, int64_t index) const;
  };

  explicit KeptWeights(Gpu& gpu) : gpu_(gpu) {}
  ~KeptWeights();
  KeptWeights(const KeptWeights&) = delete;
  KeptWeights& operator=(const KeptWeights&) = delete;

  /// The copy of a weight, perhaps outdated; null where the GPU has no room to spare. Holds until the
  /// weight's memory is forgotten.
  Copy* get(const Weight& weight);
  /// Something writes to these bytes.
  void written(const void* memory, size_t bytes);
  /// The memory of these bytes is given back.
  void forget(const void* memory, size_t bytes);
  /// Gives all copies back, and makes no more: others need the memory. Not while a product is being enqueued.
  /// False if there were none.
  bool give_up();
  /// Bytes of all copies.
  int64_t bytes() const { return bytes_; }
  /// The weights whose copies are outdated.
  std::vector<Weight> outdated() const;

 private:
  struct Key {
    const char* data;
    int64_t rows, cols, stride, count, apart;
    DType dtype;
    auto operator<=>(const Key&) const = default;
  };
  static Key key_of(const Weight& weight);
  static Weight weight_of(const Key& key);
  static const char* end_of(const Key& key);
  bool outside(const char* begin, const char* end) const { return end <= low_ || begin >= high_; }

  Gpu& gpu_;
  std::map<Key, Copy> kept_;
  const char *low_ = nullptr, *high_ = nullptr;  ///< all kept weights lie between
  int64_t bytes_ = 0;
  bool full_ = false;  ///< there was no room, and nothing was forgotten since
  bool given_up_ = false;
};

}  // namespace gristmill::runtime::cuda

#pragma once

// Weights in packed form, kept from product to product until something writes to what they were packed from.
// The memory of an outdated form stays, to be filled anew; it goes when the weight's own memory does. Panels
// share blocks that are large enough for huge pages: decoding reads each panel once a token, and with small
// pages it would wait for their addresses.

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>

#include "runtime/tensor.hpp"

namespace gristmill::runtime::cpu {

class PanelCache {
 public:
  struct Panels {
    std::shared_ptr<float> floats;  ///< a part of a block, which goes with its last panels
    bool fresh = false;             ///< holds what the weight holds now
  };

  /// The panels of b, if there are any; perhaps outdated.
  Panels* find(const ConstView& b, bool transposed);
  /// As find(), with room for `floats` where there are none.
  Panels& get(const ConstView& b, bool transposed, int64_t floats);
  /// Something wrote to these bytes.
  void written(const void* memory, size_t bytes);
  void written(const View& out);
  /// The memory of these bytes is given back.
  void forget(const void* memory, size_t bytes);

 private:
  struct Key {
    const char* data;
    DType dtype;
    int64_t rows, cols, stride;
    bool transposed;
    auto operator<=>(const Key&) const = default;
  };
  static Key key_of(const ConstView& b, bool transposed);
  static const char* end_of(const Key& key);
  bool outside(const char* begin, const char* end) const { return end <= low_ || begin >= high_; }

  std::shared_ptr<float> take(int64_t floats);

  std::map<Key, Panels> kept_;
  std::weak_ptr<float> block_;                   ///< the newest one
  int64_t block_floats_ = 0, block_taken_ = 0;   ///< its size, and how much of it is taken
  const char *low_ = nullptr, *high_ = nullptr;  ///< all kept weights lie between
};

}  // namespace gristmill::runtime::cpu

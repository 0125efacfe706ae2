#pragma once

// Weights in packed form, kept from product to product until something writes to what they were packed from.
// The memory of an outdated form stays, to be filled anew; it goes when the weight's own memory does.

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>

#include "runtime/host_memory.hpp"
#include "runtime/tensor.hpp"

namespace gristmill::runtime::cpu {

class PanelCache {
 public:
  struct Panels {
    std::unique_ptr<float, decltype(&release_host)> floats{nullptr, &release_host};
    bool fresh = false;  ///< holds what the weight holds now
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

  std::map<Key, Panels> kept_;
  const char *low_ = nullptr, *high_ = nullptr;  ///< all kept weights lie between
};

}  // namespace gristmill::runtime::cpu

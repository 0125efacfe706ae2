#pragma once

// Copies from the host that return at once: values go through page-locked memory, since a driver may read the
// source of an asynchronous copy later, when the caller's memory has other values or is gone.

#include <array>
#include <cstddef>

#include "cuda/driver/driver.hpp"

namespace gristmill::runtime::cuda {

class Staging {
 public:
  Staging(const Driver& driver, Stream stream) : driver_(driver), stream_(stream) {}
  ~Staging();
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  /// Waits only where more than all segments together are on their way.
  void write(DevicePointer to, const void* from, size_t bytes);

 private:
  static constexpr size_t kSegments = 4, kSegmentBytes = size_t{1} << 20;

  void open();
  void next_segment();

  const Driver& driver_;
  Stream stream_;
  char* memory_ = nullptr;
  std::array<Event, kSegments> read_ = {};  ///< when the copies out of a segment are done
  std::array<bool, kSegments> in_use_ = {};
  size_t segment_ = 0, used_ = 0;
};

}  // namespace gristmill::runtime::cuda

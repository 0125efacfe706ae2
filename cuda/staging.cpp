#include "cuda/staging.hpp"

#include <algorithm>
#include <cstring>

namespace gristmill::runtime::cuda {

namespace {

constexpr size_t kAlignment = 256;

}  // namespace

Staging::~Staging() {
  for (const Event event : read_) {
    if (event != nullptr) driver_.event_destroy(event);
  }
  if (memory_ != nullptr) driver_.host_free(memory_);
}

void Staging::open() {
  void* memory = nullptr;
  check(driver_, driver_.host_allocate(&memory, kSegments * kSegmentBytes, 0), "page-locked memory");
  memory_ = static_cast<char*>(memory);
  for (Event& event : read_) {
    check(driver_, driver_.event_create(&event, kEventWithoutTime), "an event");
  }
}

void Staging::next_segment() {
  check(driver_, driver_.event_record(read_[segment_], stream_), "recording an event");
  in_use_[segment_] = true;
  segment_ = (segment_ + 1) % kSegments;
  used_ = 0;
  if (in_use_[segment_]) {
    check(driver_, driver_.event_synchronize(read_[segment_]), "waiting for a copy to the GPU");
  }
}

void Staging::write(DevicePointer to, const void* from, size_t bytes) {
  if (memory_ == nullptr) open();
  const auto* source = static_cast<const char*>(from);
  while (bytes > 0) {
    if (used_ >= kSegmentBytes) next_segment();
    const size_t count = std::min(bytes, kSegmentBytes - used_);
    char* place = memory_ + segment_ * kSegmentBytes + used_;
    std::memcpy(place, source, count);
    check(driver_, driver_.copy_to_device_async(to, place, count, stream_), "copying to the GPU");
    used_ += (count + kAlignment - 1) / kAlignment * kAlignment;
    to += count;
    source += count;
    bytes -= count;
  }
}

}  // namespace gristmill::runtime::cuda

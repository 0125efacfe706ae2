#pragma once

// A device that counts the bytes that are held.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "runtime/device.hpp"

namespace gristmill::test {

class CountingDevice final : public runtime::Device {
 public:
  explicit CountingDevice(std::unique_ptr<runtime::Device> inner) : inner_(std::move(inner)) {}
  std::string name() const override { return inner_->name(); }
  runtime::DType real() const override { return inner_->real(); }
  runtime::DType compute() const override { return inner_->compute(); }
  double peak_flops() override { return inner_->peak_flops(); }
  runtime::Backend& backend() override { return inner_->backend(); }
  void* allocate(size_t bytes) override {
    void* memory = inner_->allocate(bytes);
    sizes_.emplace_back(memory, bytes);
    held_ += static_cast<int64_t>(bytes);
    peak_ = std::max(peak_, held_);
    return memory;
  }
  void release(void* memory) noexcept override {
    for (auto& [place, bytes] : sizes_) {
      if (place != memory) continue;
      held_ -= static_cast<int64_t>(bytes);
      place = nullptr;
    }
    inner_->release(memory);
  }
  void write(void* to, const void* host, size_t bytes) override { inner_->write(to, host, bytes); }
  void read(void* host, const void* from, size_t bytes) override { inner_->read(host, from, bytes); }
  void synchronize() override { inner_->synchronize(); }
  int64_t held() const { return held_; }
  int64_t peak() const { return peak_; }  ///< the most that was held at once

 private:
  std::unique_ptr<runtime::Device> inner_;
  std::vector<std::pair<void*, size_t>> sizes_;
  int64_t held_ = 0, peak_ = 0;
};

}  // namespace gristmill::test

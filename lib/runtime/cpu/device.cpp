#include "runtime/cpu/device.hpp"

#include <algorithm>
#include <cstring>
#include <map>
#include <string>

#include "base/str.hpp"
#include "runtime/cpu/backend.hpp"
#include "runtime/host_memory.hpp"

namespace gristmill::runtime::cpu {

namespace {

class CpuDevice final : public Device {
 public:
  CpuDevice(int threads, DType compute) : backend_(std::max(1, threads), compute) {}

  std::string name() const override { return str("cpu (", backend_.kernels().name, ")"); }
  DType real() const override { return DType::f32; }
  DType compute() const override { return backend_.compute(); }
  double peak_flops() override { return backend_.peak_flops(); }
  Backend& backend() override { return backend_; }
  void* allocate(size_t bytes) override {
    void* memory = allocate_host(bytes, "cpu");
    sizes_[memory] = bytes;
    return memory;
  }
  void release(void* memory) noexcept override {
    const auto found = sizes_.find(memory);
    if (found == sizes_.end()) return;
    forget(memory, found->second);
    sizes_.erase(found);
    release_host(memory);
  }
  void forget(const void* memory, size_t bytes) noexcept override { backend_.panels().forget(memory, bytes); }
  void write(void* to, const void* host, size_t bytes) override {
    if (bytes == 0) return;
    std::memcpy(to, host, bytes);
    backend_.panels().written(to, bytes);
  }
  void read(void* host, const void* from, size_t bytes) override {
    if (bytes > 0) std::memcpy(host, from, bytes);
  }
  void synchronize() override {}

 private:
  std::map<void*, size_t> sizes_;
  CpuBackend backend_;
};

}  // namespace

std::unique_ptr<Device> open_cpu(int threads, DType compute) {
  return std::make_unique<CpuDevice>(threads, compute);
}

}  // namespace gristmill::runtime::cpu

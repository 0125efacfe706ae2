#include "runtime/cpu/device.hpp"

#include <algorithm>
#include <cstring>
#include <string>

#include "base/str.hpp"
#include "runtime/cpu/backend.hpp"
#include "runtime/host_memory.hpp"

namespace gristmill::runtime::cpu {

namespace {

class CpuDevice final : public Device {
 public:
  explicit CpuDevice(int threads) : backend_(std::max(1, threads)) {}

  std::string name() const override { return str("cpu (", backend_.kernels().name, ")"); }
  DType real() const override { return DType::f32; }
  Backend& backend() override { return backend_; }
  void* allocate(size_t bytes) override { return allocate_host(bytes, "cpu"); }
  void release(void* memory) noexcept override { release_host(memory); }
  void write(void* to, const void* host, size_t bytes) override {
    if (bytes > 0) std::memcpy(to, host, bytes);
  }
  void read(void* host, const void* from, size_t bytes) override {
    if (bytes > 0) std::memcpy(host, from, bytes);
  }
  void synchronize() override {}

 private:
  CpuBackend backend_;
};

}  // namespace

std::unique_ptr<Device> open_cpu(int threads) { return std::make_unique<CpuDevice>(threads); }

}  // namespace gristmill::runtime::cpu

#include "cuda/device.hpp"

#include <algorithm>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/str.hpp"
#include "cuda/backend.hpp"
#include "cuda/gpu.hpp"

namespace gristmill::runtime::cuda {

namespace {

constexpr size_t kZone = 256;  // keeps the alignment
constexpr unsigned char kZoneByte = 0xA5;

/// The stream's work as a graph of the driver's.
class GpuRecording final : public Recording {
 public:
  GpuRecording(Gpu& gpu, CudaBackend& backend, const std::function<void()>& work)
      : gpu_(gpu), backend_(backend), releases_(gpu.releases()), recorded_(gpu.record(work)) {}
  ~GpuRecording() override {
    try {
      gpu_.synchronize();
      gpu_.destroy(recorded_);
    } catch (const Error&) {
      return;  // the GPU was lost before, and whoever waited for it knows
    }
  }
  GpuRecording(const GpuRecording&) = delete;
  GpuRecording& operator=(const GpuRecording&) = delete;

  bool is_current() const override { return gpu_.releases() == releases_; }
  void replay() override {
    if (!is_current())
      fail(Kind::internal, "memory was given back since this work was recorded: record it anew");
    backend_.refresh_kept();
    gpu_.replay(recorded_);
  }

 private:
  Gpu& gpu_;
  CudaBackend& backend_;
  const uint64_t releases_;  ///< before it was recorded: what the work itself gave back counts too
  const GraphExec recorded_;
};

class CudaDevice final : public Device {
 public:
  CudaDevice(const Driver& driver, int ordinal, const std::string& name, const DeviceOptions& options)
      : gpu_(driver, ordinal, options.arena),
        name_(str(name, " (", gpu_.hardware_name(), ")")),
        options_(options),
        backend_(gpu_, options.compute, options.cublas, options.library) {}

  std::string name() const override { return name_; }
  DType real() const override { return DType::f32; }
  DType compute() const override { return options_.compute; }
  Backend& backend() override { return backend_; }
  std::optional<uint64_t> free_memory() override { return gpu_.free_bytes(); }

  DeviceLink link() override {
    const FoundNccl found = options_.find_nccl == nullptr ? FoundNccl{} : options_.find_nccl();
    if (found.functions == nullptr) return {"", "", found.absence};
    return {str("NCCL of ", found.functions->library), gpu_.place(), ""};
  }
  std::unique_ptr<ArenaExchange> open_link(Collective& ranks) override {
    const Nccl* nccl = options_.find_nccl == nullptr ? nullptr : options_.find_nccl().functions;
    return nccl == nullptr ? nullptr : open_nccl_exchange(*nccl, gpu_, *this, ranks, options_.exchange_bytes);
  }

  void* allocate(size_t bytes) override {
    expect_whole();
    if (!options_.red_zones) {
      void* memory = with_room(bytes);
      gpu_.set_bytes(memory, 0, bytes);
      sizes_[memory] = bytes;
      return memory;
    }
    auto* base = static_cast<char*>(with_room(bytes + 2 * kZone));
    gpu_.set_bytes(base, kZoneByte, bytes + 2 * kZone);
    gpu_.set_bytes(base + kZone, 0, bytes);
    sizes_[base + kZone] = bytes;
    return base + kZone;
  }
  void release(void* memory) noexcept override {
    try {
      const auto found = sizes_.find(memory);
      if (found == sizes_.end()) return;
      const size_t bytes = found->second;
      sizes_.erase(found);
      backend_.forget(memory, bytes);
      if (!options_.red_zones) return gpu_.release(memory);
      const std::string damage = gpu_.is_recording() ? std::string() : damage_of(memory, bytes);
      gpu_.release(static_cast<char*>(memory) - kZone);
      if (!damage.empty()) fail(Kind::device, damage);
    } catch (const Error& error) {
      failure_ = error.what();  // said by the next call that may
    }
  }
  void forget(const void* memory, size_t bytes) noexcept override { backend_.written(memory, bytes); }
  void write(void* to, const void* host, size_t bytes) override {
    expect_whole();
    gpu_.write(to, host, bytes);
    backend_.written(to, bytes);
  }
  void read(void* host, const void* from, size_t bytes) override {
    expect_whole();
    gpu_.read(host, from, bytes);
  }
  void synchronize() override {
    expect_whole();
    gpu_.synchronize();
    if (!options_.red_zones) return;
    for (const auto& [memory, bytes] : sizes_) {
      const std::string damage = damage_of(memory, bytes);
      if (!damage.empty()) fail(Kind::device, damage);
    }
  }
  std::unique_ptr<Recording> record(const std::function<void()>& work) override {
    expect_whole();
    if (!options_.graphs || !gpu_.can_record()) return nullptr;
    backend_.refresh_kept();  // what is rounded while it is recorded is rounded no sooner than it is replayed
    return std::make_unique<GpuRecording>(gpu_, backend_, work);
  }

 private:
  /// Memory for what a run cannot do without: copies of weights, which it can, make room for it.
  void* with_room(size_t bytes) {
    void* memory = gpu_.try_allocate(bytes);
    if (memory != nullptr) return memory;
    backend_.give_up_kept();
    return gpu_.allocate(bytes);
  }
  void expect_whole() {
    if (!failure_.empty()) throw Error(Kind::device, std::exchange(failure_, std::string()));
  }
  /// What is wrong around an allocation; empty if nothing.
  std::string damage_of(const void* memory, size_t bytes) {
    const auto* begin = static_cast<const char*>(memory);
    for (const char* zone : {begin - kZone, begin + bytes}) {
      std::vector<unsigned char> content(kZone);
      gpu_.read(content.data(), zone, kZone);
      const auto changed =
          std::find_if(content.begin(), content.end(), [](unsigned char byte) { return byte != kZoneByte; });
      if (changed == content.end()) continue;
      const int64_t offset = zone - begin + (changed - content.begin());
      return str("a kernel wrote outside its memory: byte ", offset, " of an allocation of ", bytes,
                 " bytes; --device emu names the kernel");
    }
    return {};
  }

  Gpu gpu_;
  const std::string name_;
  const DeviceOptions options_;
  CudaBackend backend_;
  std::map<const void*, size_t> sizes_;
  std::string failure_;
};

}  // namespace

std::unique_ptr<Device> open_gpu(const Driver& driver, int ordinal, const std::string& name,
                                 const DeviceOptions& options) {
  return std::make_unique<CudaDevice>(driver, ordinal, name, options);
}

}  // namespace gristmill::runtime::cuda

#include <cstring>
#include <memory>
#include <string>

#include "base/error.hpp"
#include "runtime/device.hpp"
#include "runtime/host_memory.hpp"
#include "runtime/reference/backend.hpp"

namespace gristmill::runtime {

namespace {

template <class Real>
class ReferenceDevice final : public Device {
 public:
  std::string name() const override { return sizeof(Real) == 8 ? "reference (f64)" : "reference (f32)"; }
  DType real() const override { return reference::ReferenceBackend<Real>::kReal; }
  Backend& backend() override { return backend_; }
  void* allocate(size_t bytes) override { return allocate_host(bytes, "reference"); }
  void release(void* memory) noexcept override { release_host(memory); }
  void write(void* to, const void* host, size_t bytes) override {
    if (bytes > 0) std::memcpy(to, host, bytes);
  }
  void read(void* host, const void* from, size_t bytes) override {
    if (bytes > 0) std::memcpy(host, from, bytes);
  }
  void synchronize() override {}

 private:
  reference::ReferenceBackend<Real> backend_;
};

}  // namespace

std::unique_ptr<Device> open_reference_device(DType real) {
  if (real == DType::f64) return std::make_unique<ReferenceDevice<double>>();
  if (real == DType::f32) return std::make_unique<ReferenceDevice<float>>();
  fail(Kind::internal, "the reference device computes in f32 or f64");
}

}  // namespace gristmill::runtime

// Opens GPUs and the emulator by name.

#include <string>

#include "base/error.hpp"
#include "base/str.hpp"
#include "cuda/device.hpp"
#include "cuda/driver/driver.hpp"
#include "emulator/driver/emulated_driver.hpp"
#include "runtime/cuda.hpp"

namespace gristmill::runtime {

namespace {

#ifdef NDEBUG
constexpr bool kRedZones = false;
#else
constexpr bool kRedZones = true;
#endif

}  // namespace

std::unique_ptr<Device> open_cuda_device(int ordinal, DType compute) {
  return cuda::open_gpu(cuda::load_driver(), ordinal, str("cuda:", ordinal), {compute, kRedZones});
}

std::unique_ptr<Device> open_emulated_device(int threads, DType compute) {
  const int ordinal = emulator::add_gpu({.seed = 0, .threads = threads});
  return cuda::open_gpu(emulator::emulated_driver(), ordinal, "emu", {compute, false});
}

bool cuda_device_exists() noexcept {
  try {
    const cuda::Driver& driver = cuda::load_driver();
    int count = 0;
    return driver.device_count(&count) == cuda::kSuccess && count > 0;
  } catch (const Error&) {
    return false;
  }
}

}  // namespace gristmill::runtime

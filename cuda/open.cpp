// Opens GPUs and the emulator by name.

#include <string>

#include "base/environment.hpp"
#include "base/error.hpp"
#include "base/log.hpp"
#include "base/str.hpp"
#include "cuda/cublas/cublas.hpp"
#include "cuda/device.hpp"
#include "cuda/driver/driver.hpp"
#include "emulator/cublas/emulated_cublas.hpp"
#include "emulator/driver/emulated_driver.hpp"
#include "emulator/nccl/emulated_nccl.hpp"
#include "runtime/cuda.hpp"

namespace gristmill::runtime {

namespace {

#ifdef NDEBUG
constexpr bool kRedZones = false;
#else
constexpr bool kRedZones = true;
#endif

constexpr const char* kCublasSwitch = "GRISTMILL_CUDA_CUBLAS";

bool is_on(const char* variable) {
  const auto value = environment_variable(variable);
  if (value && *value != "on" && *value != "off")
    fail(Kind::usage, variable, "=", *value, ": expected on or off");
  return value != "off";
}

/// GRISTMILL_CUDA_ARENA=off is for compute-sanitizer, which knows the driver's allocations alone;
/// GRISTMILL_CUDA_GRAPHS=off for finding out whether a fault is one of replaying, as
/// GRISTMILL_CUDA_CUBLAS=off whether it is one of cuBLASLt.
cuda::DeviceOptions options_for(DType compute, bool red_zones) {
  cuda::DeviceOptions options{compute, red_zones};
  options.arena = is_on("GRISTMILL_CUDA_ARENA");
  options.graphs = is_on("GRISTMILL_CUDA_GRAPHS");
  return options;
}

}  // namespace

std::unique_ptr<Device> open_cuda_device(int ordinal, DType compute) {
  cuda::DeviceOptions options = options_for(compute, kRedZones);
  const cuda::Driver& driver = cuda::load_driver();
  if (is_on(kCublasSwitch)) {
    const cuda::FoundCublas found = cuda::find_cublas();
    options.cublas = found.functions;
    if (found.functions == nullptr) {
      log::info(found.absence);
    } else {
      log::debug("large products: ", found.functions->library, ", version ", found.functions->version());
    }
  }
  options.find_nccl = [] { return cuda::find_nccl(); };
  return cuda::open_gpu(driver, ordinal, str("cuda:", ordinal), options);
}

std::unique_ptr<Device> open_emulated_device(int threads, DType compute) {
  const int ordinal = emulator::add_gpu({.seed = 0, .threads = threads});
  cuda::DeviceOptions options = options_for(compute, false);
  if (is_on(kCublasSwitch)) options.cublas = &emulator::emulated_cublas();
  options.find_nccl = [] { return cuda::FoundNccl{&emulator::emulated_nccl(), ""}; };
  return cuda::open_gpu(emulator::emulated_driver(), ordinal, "emu", options);
}

int cuda_device_count() noexcept {
  try {
    const cuda::Driver& driver = cuda::load_driver();
    int count = 0;
    return driver.device_count(&count) == cuda::kSuccess ? count : 0;
  } catch (const Error&) {
    return 0;
  }
}

}  // namespace gristmill::runtime

#pragma once

// Devices over a GPU, of hardware or emulated.

#include <memory>
#include <string>

#include "cuda/cublas/cublas.hpp"
#include "cuda/driver/driver.hpp"
#include "cuda/library_products.hpp"
#include "cuda/nccl/exchange.hpp"
#include "cuda/nccl/nccl.hpp"
#include "runtime/device.hpp"

namespace gristmill::runtime::cuda {

struct DeviceOptions {
  DType compute = DType::f32;
  /// Bytes of a pattern before and behind each allocation are looked at when it is given back and when the
  /// device is waited for; a kernel that wrote there is Error{device}. The emulated GPU sees each such access
  /// by itself.
  bool red_zones = false;
  /// Memory comes from an arena (memory_arena.hpp). Without one each allocation is the driver's own: slower,
  /// but what compute-sanitizer can watch.
  bool arena = true;
  /// Device::record() records, where the driver can.
  bool graphs = true;
  /// Makes large products; null: our own kernels make all.
  const Cublas* cublas = nullptr;
  LibraryOptions library = {};  ///< which products are large
  /// Looks for what carries arenas to the GPUs of other ranks; null: nothing does.
  FoundNccl (*find_nccl)() = nullptr;
  int64_t exchange_bytes = kExchangeBytes;  ///< of memory for that
};

/// `name`: what the device is called before the name of the hardware in parentheses.
std::unique_ptr<Device> open_gpu(const Driver& driver, int ordinal, const std::string& name,
                                 const DeviceOptions& options);

}  // namespace gristmill::runtime::cuda

#pragma once

// The one door to the CUDA backend, which lies beside the libraries: declared here, defined in cuda/, or
// there by what says that it was not built.

#include <memory>

#include "runtime/device.hpp"

namespace gristmill::runtime {

/// The GPU of that number. Error{device} if there is no driver or no such GPU.
std::unique_ptr<Device> open_cuda_device(int ordinal, DType compute);

/// A GPU of its own that executes the compiled kernels on `threads` threads and checks every access. No
/// result depends on their number.
std::unique_ptr<Device> open_emulated_device(int threads, DType compute);

/// Whether a driver and a GPU are there, and this build can use them.
bool cuda_device_exists() noexcept;

}  // namespace gristmill::runtime

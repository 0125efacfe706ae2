#pragma once

// The one door to the CUDA backend, which lies beside the libraries: declared here, defined in cuda/, or
// there by what says that it was not built.

#include <memory>
#include <optional>

#include "runtime/collective.hpp"
#include "runtime/device.hpp"
#include "runtime/rendezvous.hpp"

namespace gristmill::runtime {

/// The GPU of that number. Error{device} if there is no driver or no such GPU.
std::unique_ptr<Device> open_cuda_device(int ordinal, DType compute);

/// A GPU of its own that executes the compiled kernels on `threads` threads and checks every access. No
/// result depends on their number.
std::unique_ptr<Device> open_emulated_device(int threads, DType compute);

/// GPUs that are there, with a driver, and that this build can use.
int cuda_device_count() noexcept;

/// Ranks that talk by NCCL between their GPUs: this one's is the GPU of that number, or an emulated one of
/// its own. Returns when all have come. Error{device} if there is no such GPU, or no NCCL.
std::unique_ptr<Collective> open_gpu_collective(std::optional<int> ordinal, const Meeting& meeting);

}  // namespace gristmill::runtime

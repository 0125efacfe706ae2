// What stands for the CUDA backend in a build without it.

#include "base/error.hpp"
#include "runtime/cuda.hpp"

namespace gristmill::runtime {

std::unique_ptr<Device> open_cuda_device(int ordinal, DType) {
  fail(Kind::device, "device cuda:", ordinal,
       ": this build has no CUDA backend; build with the CUDA toolkit's nvcc on the PATH, or use --device "
       "cpu");
}

std::unique_ptr<Device> open_emulated_device(int, DType) {
  fail(Kind::device,
       "device emu: this build has no CUDA kernels to emulate; build with the CUDA toolkit's nvcc on the "
       "PATH, "
       "or use --device cpu");
}

int cuda_device_count() noexcept { return 0; }

std::unique_ptr<Collective> open_gpu_collective(std::optional<int>, const Meeting&) {
  fail(Kind::device,
       "--rendezvous: this build has no CUDA backend; build with the CUDA toolkit's nvcc on the PATH, or "
       "start "
       "with Open MPI's mpirun and use --device cpu");
}

}  // namespace gristmill::runtime

#pragma once

// cuBLASLt's functions over emulated GPUs. A product is put on the stream and made by the host in f32 when
// the stream runs, from operands that must lie in memory and must have been written. It has what our programs
// use: column-major bf16 and f32, sums in f32, a bias, beta · C; what NVIDIA's library refuses by its table
// of types it refuses with the same status. What no program should ever do (handles that are not alive, an
// algorithm that was chosen for another product, less alignment than was promised, operands under the
// result) is an Error{device}.

#include <cstdint>

#include "cuda/cublas/cublas.hpp"

namespace gristmill::emulator {

const runtime::cuda::Cublas& emulated_cublas();

/// What all emulated GPUs of this process did by way of the table since the start.
struct CublasUse {
  uint64_t searches = 0, products = 0;  ///< products: that ran
  uint64_t biases = 0, sums = 0;        ///< of these: with a bias, with beta · C
};
CublasUse cublas_use();

}  // namespace gristmill::emulator

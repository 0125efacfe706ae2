#pragma once

// Sums in a fixed order: within a warp by exchanging with the lane that differs in one bit of its number,
// then over the warps in order. Every thread gets the same sum.

#include <cstdint>

namespace gristmill::runtime::cuda {

constexpr uint32_t kWarp = 32, kWholeWarp = 0xFFFFFFFFu;
constexpr uint32_t kMostWarps = 8;  ///< of a block that sums

template <class T>
__device__ inline T warp_sum(T value) {
#pragma unroll
  for (uint32_t distance = kWarp / 2; distance > 0; distance /= 2) {
    value += __shfl_xor_sync(kWholeWarp, value, distance);
  }
  return value;
}

/// The sum over threadIdx.x, which is a warp or, in blocks of one row of threads, several. `parts` is shared,
/// of kMostWarps; there is one barrier, so that the next sum needs other parts (with two that take turns no
/// barrier is missing: who writes the first ones again has met everybody who read them at the barrier
/// between).
template <class T>
__device__ inline T block_sum(T value, T* parts) {
  value = warp_sum(value);
  if (blockDim.x == kWarp) return value;
  if (threadIdx.x % kWarp == 0) parts[threadIdx.x / kWarp] = value;
  __syncthreads();
  T sum = parts[0];
  for (uint32_t warp = 1; warp < blockDim.x / kWarp; ++warp) sum += parts[warp];
  return sum;
}

}  // namespace gristmill::runtime::cuda

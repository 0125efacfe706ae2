#pragma once

// bfloat16 on the device: the upper half of a float. Rounding is to the nearest, ties to even, as on the host
// (runtime/bfloat16.hpp), but that every NaN becomes the same one.

#include <cstdint>

namespace gristmill::runtime::cuda {

__device__ inline float widened(uint16_t bits) { return __uint_as_float(static_cast<uint32_t>(bits) << 16); }

__device__ inline uint16_t narrowed(float value) {
  uint16_t bits;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(value));
  return bits;
}

/// Two at once; `low` has the lower address when the word is stored.
__device__ inline uint32_t narrowed_pair(float low, float high) {
  uint32_t bits;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(bits) : "f"(high), "f"(low));
  return bits;
}

__device__ inline float low_half(uint32_t pair) { return __uint_as_float(pair << 16); }
__device__ inline float high_half(uint32_t pair) { return __uint_as_float(pair & 0xFFFF0000u); }

}  // namespace gristmill::runtime::cuda

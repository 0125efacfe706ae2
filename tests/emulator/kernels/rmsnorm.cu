// y = x · rsqrt(mean(x²) + epsilon) · weight: one block a row, 16-byte accesses, a sum over warps through
// shared memory.
#include <cuda_bf16.h>

#include <cstdint>

namespace {

__device__ float2 unpack(uint32_t pair) {
  return make_float2(__uint_as_float(pair << 16), __uint_as_float(pair & 0xffff0000u));
}

__device__ uint32_t pack(float low, float high) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  uint32_t bits;
  memcpy(&bits, &pair, sizeof bits);
  return bits;
}

__device__ float warp_sum(float value) {
  for (int offset = 16; offset > 0; offset >>= 1) value += __shfl_xor_sync(0xffffffffu, value, offset);
  return value;
}

}  // namespace

extern "C" __global__ void __launch_bounds__(256)
    rmsnorm(const uint4* x, const uint4* weight, uint4* y, float* scale, int cols, float epsilon) {
  __shared__ float sums[8];
  __shared__ float total;
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, chunks = cols / 8;
  const uint4* row = x + static_cast<int64_t>(blockIdx.x) * chunks;
  float sum = 0;
  for (int i = threadIdx.x; i < chunks; i += 256) {
    const uint4 chunk = row[i];
    const uint32_t pairs[4] = {chunk.x, chunk.y, chunk.z, chunk.w};
    for (uint32_t pair : pairs) {
      const float2 v = unpack(pair);
      sum += v.x * v.x + v.y * v.y;
    }
  }
  sum = warp_sum(sum);
  if (lane == 0) sums[warp] = sum;
  __syncthreads();
  if (warp == 0) {
    const float all = warp_sum(lane < 8 ? sums[lane] : 0.0f);
    if (lane == 0) {
      total = rsqrtf(all / static_cast<float>(cols) + epsilon);
      scale[blockIdx.x] = total;
    }
  }
  __syncthreads();
  const float factor = total;
  for (int i = threadIdx.x; i < chunks; i += 256) {
    const uint4 chunk = row[i], w = weight[i];
    const uint32_t a[4] = {chunk.x, chunk.y, chunk.z, chunk.w}, b[4] = {w.x, w.y, w.z, w.w};
    uint32_t out[4];
    for (int k = 0; k < 4; ++k) {
      const float2 v = unpack(a[k]), g = unpack(b[k]);
      out[k] = pack(v.x * factor * g.x, v.y * factor * g.y);
    }
    y[static_cast<int64_t>(blockIdx.x) * chunks + i] = make_uint4(out[0], out[1], out[2], out[3]);
  }
}

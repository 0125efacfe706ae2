// C (m × n, fp32) = A (m × k) · B (n × k)ᵀ in bf16: tiles of 64 × 64, four warps of 32 × 32, two stages of
// cp.async. m, n are multiples of 64, k of 32.
#include <cuda_bf16.h>

#include "tensor_core.cuh"

constexpr int kTile = 64, kDepth = 32,
              kPitch = kDepth + 8;  // the padding keeps ldmatrix free of bank conflicts

__device__ void load_stage(__nv_bfloat16* a, __nv_bfloat16* b, const __nv_bfloat16* from_a,
                           const __nv_bfloat16* from_b, int k) {
  for (int i = threadIdx.x; i < kTile * kDepth / 8; i += 128) {
    const int row = i / (kDepth / 8), col = i % (kDepth / 8) * 8;
    copy_async(a + row * kPitch + col, from_a + static_cast<int64_t>(row) * k + col);
    copy_async(b + row * kPitch + col, from_b + static_cast<int64_t>(row) * k + col);
  }
  commit_copies();
}

extern "C" __global__ void __launch_bounds__(128)
    gemm(const __nv_bfloat16* a, const __nv_bfloat16* b, float* c, int m, int n, int k) {
  __shared__ __align__(16) __nv_bfloat16 tile_a[2][kTile * kPitch], tile_b[2][kTile * kPitch];
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, row0 = (warp >> 1) * 32, col0 = (warp & 1) * 32;
  a += static_cast<int64_t>(blockIdx.y) * kTile * k;
  b += static_cast<int64_t>(blockIdx.x) * kTile * k;
  float sum[2][4][4] = {};
  load_stage(tile_a[0], tile_b[0], a, b, k);
  for (int k0 = 0, stage = 0; k0 < k; k0 += kDepth, stage ^= 1) {
    if (k0 + kDepth < k) {
      load_stage(tile_a[stage ^ 1], tile_b[stage ^ 1], a + k0 + kDepth, b + k0 + kDepth, k);
      wait_copies<1>();
    } else {
      wait_copies<0>();
    }
    __syncthreads();
    for (int kk = 0; kk < kDepth; kk += 16) {
      uint32_t left[2][4], right[2][4];
      for (int i = 0; i < 2; ++i) {
        load_matrices(left[i], &tile_a[stage][(row0 + i * 16 + (lane & 15)) * kPitch + kk + (lane >> 4) * 8]);
        load_matrices(right[i], &tile_b[stage][(col0 + i * 16 + (lane & 7) + ((lane >> 4) << 3)) * kPitch +
                                               kk + ((lane >> 3) & 1) * 8]);
      }
      for (int i = 0; i < 2; ++i) {
        for (int j = 0; j < 4; ++j) {
          multiply_add(sum[i][j], left[i], right[j / 2][j % 2 * 2], right[j / 2][j % 2 * 2 + 1]);
        }
      }
    }
    __syncthreads();
  }
  for (int i = 0; i < 2; ++i) {
    for (int j = 0; j < 4; ++j) {
      const int row = blockIdx.y * kTile + row0 + i * 16 + (lane >> 2);
      const int col = blockIdx.x * kTile + col0 + j * 8 + (lane & 3) * 2;
      float* out = c + static_cast<int64_t>(row) * n + col;
      *reinterpret_cast<float2*>(out) = make_float2(sum[i][j][0], sum[i][j][1]);
      *reinterpret_cast<float2*>(out + static_cast<int64_t>(8) * n) = make_float2(sum[i][j][2], sum[i][j][3]);
    }
  }
}

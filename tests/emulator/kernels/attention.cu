// Causal attention over one head after another (Dao 2023): blocks of 64 queries, four warps of 16 rows, keys
// and values by cp.async in tiles of 64, probabilities stay in registers. Any number of tokens; 64 columns a
// head.
#include <cuda_bf16.h>

#include "tensor_core.cuh"

constexpr int kRows = 64, kWidth = 64, kPitch = kWidth + 8;

/// Rows [first, first + 64) of a head; what lies behind its end becomes zero.
__device__ void load_tile(__nv_bfloat16* to, const __nv_bfloat16* head, int first, int tokens) {
  for (int i = threadIdx.x; i < kRows * kWidth / 8; i += 128) {
    const int row = i / (kWidth / 8), col = i % (kWidth / 8) * 8;
    const bool inside = first + row < tokens;
    copy_async(to + row * kPitch + col, head + static_cast<int64_t>(inside ? first + row : 0) * kWidth + col,
               inside ? 16 : 0);
  }
}

__device__ uint32_t pack(float low, float high) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  uint32_t bits;
  memcpy(&bits, &pair, sizeof bits);
  return bits;
}

/// Maximum or sum over the four lanes that share a row.
template <class Combine>
__device__ float over_row(float value, Combine combine) {
  value = combine(value, __shfl_xor_sync(0xffffffffu, value, 1));
  return combine(value, __shfl_xor_sync(0xffffffffu, value, 2));
}

struct Softmax {
  float top[2] = {-INFINITY, -INFINITY}, sum[2] = {0, 0};
};

/// Turns scores into probabilities relative to the new maximum, and scales what was summed before.
__device__ void update(Softmax& softmax, float (&score)[8][4], float (&out)[8][4], int row, int key,
                       int tokens, float scale) {
  for (int h = 0; h < 2; ++h) {
    float top = softmax.top[h];
    for (int j = 0; j < 8; ++j) {
      for (int e = 0; e < 2; ++e) {
        const int at = key + j * 8 + e;
        float& s = score[j][h * 2 + e];
        s = at <= row + h * 8 && at < tokens ? s * scale : -INFINITY;
        top = fmaxf(top, s);
      }
    }
    top = over_row(top, [](float a, float b) { return fmaxf(a, b); });
    const float base = top == -INFINITY ? 0.0f : top, shrink = exp2f(softmax.top[h] - base);
    float sum = 0;
    for (int j = 0; j < 8; ++j) {
      for (int e = 0; e < 2; ++e) {
        score[j][h * 2 + e] = exp2f(score[j][h * 2 + e] - base);
        sum += score[j][h * 2 + e];
        out[j][h * 2 + e] *= shrink;
      }
    }
    softmax.sum[h] = softmax.sum[h] * shrink + over_row(sum, [](float a, float b) { return a + b; });
    softmax.top[h] = top;
  }
}

/// scale is that of the scores times log2(e).
extern "C" __global__ void __launch_bounds__(128)
    attention(const __nv_bfloat16* q, const __nv_bfloat16* k, const __nv_bfloat16* v, __nv_bfloat16* o,
              float* logsumexp, int tokens, float scale) {
  extern __shared__ __align__(16) __nv_bfloat16 tiles[];
  __nv_bfloat16 *tile_q = tiles, *tile_k = tiles + kRows * kPitch, *tile_v = tiles + 2 * kRows * kPitch;
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, first = blockIdx.x * kRows;
  const int64_t head = static_cast<int64_t>(blockIdx.y) * tokens * kWidth;
  load_tile(tile_q, q + head, first, tokens);
  commit_copies();
  wait_copies<0>();
  __syncthreads();
  uint32_t query[4][4];
  for (int c = 0; c < 4; ++c)
    load_matrices(query[c], &tile_q[(warp * 16 + (lane & 15)) * kPitch + c * 16 + (lane >> 4) * 8]);
  float out[8][4] = {};
  Softmax softmax;
  const int row = first + warp * 16 + (lane >> 2), last = min(first + kRows, tokens);
  for (int key = 0; key < last; key += kRows) {
    load_tile(tile_k, k + head, key, tokens);
    commit_copies();
    load_tile(tile_v, v + head, key, tokens);
    commit_copies();
    wait_copies<1>();
    __syncthreads();
    float score[8][4] = {};
    for (int c = 0; c < 4; ++c) {
      for (int j = 0; j < 4; ++j) {
        uint32_t b[4];
        load_matrices(
            b, &tile_k[(j * 16 + (lane & 7) + ((lane >> 4) << 3)) * kPitch + c * 16 + ((lane >> 3) & 1) * 8]);
        multiply_add(score[2 * j], query[c], b[0], b[1]);
        multiply_add(score[2 * j + 1], query[c], b[2], b[3]);
      }
    }
    update(softmax, score, out, row, key + (lane & 3) * 2, tokens, scale);
    wait_copies<0>();
    __syncthreads();
    for (int c = 0; c < 4; ++c) {
      const uint32_t p[4] = {pack(score[2 * c][0], score[2 * c][1]), pack(score[2 * c][2], score[2 * c][3]),
                             pack(score[2 * c + 1][0], score[2 * c + 1][1]),
                             pack(score[2 * c + 1][2], score[2 * c + 1][3])};
      for (int j = 0; j < 4; ++j) {
        uint32_t b[4];
        load_matrices_transposed(b, &tile_v[(c * 16 + (lane & 15)) * kPitch + j * 16 + (lane >> 4) * 8]);
        multiply_add(out[2 * j], p, b[0], b[1]);
        multiply_add(out[2 * j + 1], p, b[2], b[3]);
      }
    }
    __syncthreads();
  }
  for (int h = 0; h < 2; ++h) {
    if (row + h * 8 >= tokens) continue;
    const float inverse = 1.0f / softmax.sum[h];
    __nv_bfloat16* to = o + head + static_cast<int64_t>(row + h * 8) * kWidth + (lane & 3) * 2;
    for (int j = 0; j < 8; ++j) {
      *reinterpret_cast<uint32_t*>(to + j * 8) = pack(out[j][h * 2] * inverse, out[j][h * 2 + 1] * inverse);
    }
    if ((lane & 3) == 0) {
      logsumexp[static_cast<int64_t>(blockIdx.y) * tokens + row + h * 8] =
          softmax.top[h] + log2f(softmax.sum[h]);
    }
  }
}

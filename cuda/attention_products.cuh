#pragma once

// The two products that attention is made of, tile by tile: scores = rows · tileᵀ, and sums += weights ·
// tile. On tensor cores a warp has 16 rows and weights stay in registers; in f32 16 × 16 threads have a
// square of the scores each, rows ty·kOwn … and columns tx + 16·j, and weights go through shared memory,
// where only lanes of one warp share rows.

#include "cuda/attention_tiles.cuh"

namespace gristmill::runtime::cuda {

/// scores (16 × kCols) = the 16 rows from `rows` on · kCols rows of `tile`, transposed.
template <int kWidth, int kCols>
__device__ inline void multiply_rows(float (&scores)[kCols / 8][4], const uint16_t* rows,
                                     const uint16_t* tile) {
  constexpr int kPitch = HalfShape<kWidth>::kPitch;
  const int lane = static_cast<int>(threadIdx.x) & 31;
  const uint16_t* a_row = rows + (lane & 15) * kPitch + (lane >> 4) * 8;
  const uint16_t* b_row = tile + ((lane & 7) + (lane >> 4) * 8) * kPitch + ((lane >> 3) & 1) * 8;
#pragma unroll
  for (int j = 0; j < kCols / 8; ++j) {
#pragma unroll
    for (int e = 0; e < 4; ++e) scores[j][e] = 0.0f;
  }
#pragma unroll
  for (int c = 0; c < kWidth / 16; ++c) {
    uint32_t a[4];
    load_matrices(a, a_row + c * 16);
#pragma unroll
    for (int j = 0; j < kCols / 16; ++j) {
      uint32_t b[4];
      load_matrices(b, b_row + j * 16 * kPitch + c * 16);
      multiply_add(scores[2 * j], a, b[0], b[1]);
      multiply_add(scores[2 * j + 1], a, b[2], b[3]);
    }
  }
}

/// sums (16 × kPart) += weights (16 × kRows, rounded to bf16) · kPart columns of the kRows rows of `tile`.
template <int kWidth, int kRows, int kPart>
__device__ inline void add_weighted(float (&sums)[kPart / 8][4], const float (&weights)[kRows / 8][4],
                                    const uint16_t* tile) {
  constexpr int kPitch = HalfShape<kWidth>::kPitch;
  const int lane = static_cast<int>(threadIdx.x) & 31;
  const uint16_t* b_row = tile + (lane & 15) * kPitch + (lane >> 4) * 8;
#pragma unroll
  for (int c = 0; c < kRows / 16; ++c) {
    const float(&left)[4] = weights[2 * c], (&right)[4] = weights[2 * c + 1];
    const uint32_t a[4] = {narrowed_pair(left[0], left[1]), narrowed_pair(left[2], left[3]),
                           narrowed_pair(right[0], right[1]), narrowed_pair(right[2], right[3])};
#pragma unroll
    for (int j = 0; j < kPart / 16; ++j) {
      uint32_t b[4];
      load_matrices_transposed(b, b_row + c * 16 * kPitch + j * 16);
      multiply_add(sums[2 * j], a, b[0], b[1]);
      multiply_add(sums[2 * j + 1], a, b[2], b[3]);
    }
  }
}

__device__ inline float4 four_of(const float* p) { return *reinterpret_cast<const float4*>(p); }

/// scores[i][j] = row ty·kOwn + i of `rows` · row tx + 16·j of `tile`.
template <int kWidth, int kOwn>
__device__ inline void multiply_rows(float (&scores)[kOwn][kOwn], const float* rows, const float* tile) {
  constexpr int kPitch = FloatShape<kWidth>::kPitch;
  const float* a_row = rows + threadIdx.x / 16 * kOwn * kPitch;
  const float* b_row = tile + threadIdx.x % 16 * kPitch;
#pragma unroll
  for (int i = 0; i < kOwn; ++i) {
#pragma unroll
    for (int j = 0; j < kOwn; ++j) scores[i][j] = 0.0f;
  }
#pragma unroll 2
  for (int d = 0; d < kWidth; d += 4) {
    float4 b[kOwn];
#pragma unroll
    for (int j = 0; j < kOwn; ++j) b[j] = four_of(b_row + j * 16 * kPitch + d);
#pragma unroll
    for (int i = 0; i < kOwn; ++i) {
      const float4 a = four_of(a_row + i * kPitch + d);
#pragma unroll
      for (int j = 0; j < kOwn; ++j) {
        float& s = scores[i][j];
        s = fmaf(a.w, b[j].w, fmaf(a.z, b[j].z, fmaf(a.y, b[j].y, fmaf(a.x, b[j].x, s))));
      }
    }
  }
}

/// Neighbouring columns that a thread has of a sum in f32; the next ones lie 16 times as many further.
template <int kWidth>
constexpr int kTogether = kWidth / 16 < 4 ? kWidth / 16 : 4;

/// The column of a thread's c-th sum.
template <int kWidth>
__device__ inline int sum_column(int c) {
  constexpr int kRun = kTogether<kWidth>;
  return c / kRun * 16 * kRun + static_cast<int>(threadIdx.x) % 16 * kRun + c % kRun;
}

/// Elements from row to row of shared weights.
template <int kOwn>
constexpr int kWeightPitch = kOwn * 16 + 16 / kOwn;

/// Puts a thread's weights where the lanes that have the same rows find them.
template <int kOwn>
__device__ inline void share_weights(float* shared, const float (&weights)[kOwn][kOwn]) {
  __syncwarp();  // what was there before has been read
#pragma unroll
  for (int i = 0; i < kOwn; ++i) {
    float* row = shared + (threadIdx.x / 16 * kOwn + i) * kWeightPitch<kOwn>;
#pragma unroll
    for (int j = 0; j < kOwn; ++j) row[threadIdx.x % 16 + j * 16] = weights[i][j];
  }
  __syncwarp();
}

/// sums[i][c] += row ty·kOwn + i of the shared weights · column sum_column(c) of `tile`.
template <int kWidth, int kOwn>
__device__ inline void add_weighted(float (&sums)[kOwn][kWidth / 16], const float* shared,
                                    const float* tile) {
  constexpr int kPitch = FloatShape<kWidth>::kPitch, kRun = kTogether<kWidth>, kRows = kOwn * 16;
  const float* weight_row = shared + threadIdx.x / 16 * kOwn * kWeightPitch<kOwn>;
#pragma unroll 1
  for (int s = 0; s < kRows; s += 4) {
    float weight[kOwn][4];
#pragma unroll
    for (int i = 0; i < kOwn; ++i) {
      const float4 four = four_of(weight_row + i * kWeightPitch<kOwn> + s);
      weight[i][0] = four.x, weight[i][1] = four.y, weight[i][2] = four.z, weight[i][3] = four.w;
    }
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      const float* row = tile + (s + e) * kPitch;
#pragma unroll
      for (int c = 0; c < kWidth / 16; c += kRun) {
        float value[kRun];
        if constexpr (kRun == 4) {
          const float4 four = four_of(row + sum_column<kWidth>(c));
          value[0] = four.x, value[1] = four.y, value[2] = four.z, value[3] = four.w;
        } else {
          const float2 two = *reinterpret_cast<const float2*>(row + sum_column<kWidth>(c));
          value[0] = two.x, value[1] = two.y;
        }
#pragma unroll
        for (int i = 0; i < kOwn; ++i) {
#pragma unroll
          for (int r = 0; r < kRun; ++r) sums[i][c + r] = fmaf(weight[i][e], value[r], sums[i][c + r]);
        }
      }
    }
  }
}

/// Writes a thread's columns of one row of sums times `factor`.
template <int kWidth>
__device__ inline void store_sums(const Head& to, int64_t at, float factor,
                                  const float (&sums)[kWidth / 16]) {
  if (at < 0) return;
  constexpr int kRun = kTogether<kWidth>;
#pragma unroll
  for (int c = 0; c < kWidth / 16; c += kRun) {
    const int col = sum_column<kWidth>(c);
    float* place = reinterpret_cast<float*>(to.data) + at + col;
    if (kRun == 4 && to.wide) {  // a head is then a multiple of 4 wide
      if (col < to.width)
        *reinterpret_cast<float4*>(place) = make_float4(
            sums[c] * factor, sums[c + 1] * factor, sums[c + 2 % kRun] * factor, sums[c + 3 % kRun] * factor);
      continue;
    }
#pragma unroll
    for (int r = 0; r < kRun; ++r) {
      if (col + r < to.width) place[r] = sums[c + r] * factor;
    }
  }
}

}  // namespace gristmill::runtime::cuda

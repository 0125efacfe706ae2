#pragma once

// A tile of a product in bf16 on tensor cores, with sums in f32. Each result is summed up in the order of
// depth, 16 products a step, whatever the tile: results do not depend on which is chosen.
//
// Large tiles are 128 × 128 with 8 warps of 64 × 32 (a byte of shared memory read serves 21 products), small
// ones 64 × 64 with 4 warps of 32 × 32, for results that would not fill the GPU otherwise.

#include "cuda/product_tiles.cuh"

namespace gristmill::runtime::cuda {

template <int kRows_, int kCols_, bool kAcrossA, bool kAcrossB>
struct HalfProduct {
  static constexpr int kRows = kRows_, kCols = kCols_, kWarpRows = kRows / 2, kWarpCols = 32,
                       kWarpsAcross = kCols / kWarpCols, kThreads = 2 * kWarpsAcross * 32;
  using TileA = Tile<uint16_t, kRows, kAcrossA, kThreads>;
  using TileB = Tile<uint16_t, kCols, kAcrossB, kThreads>;
  static constexpr int kStageBytes = TileA::kBytes + TileB::kBytes, kDepth = TileA::kDepth, kSlabPitch = 40;
  static constexpr int kSharedBytes = kStages * kStageBytes;
  static_assert(kThreads / 32 * kSlabRows * kSlabPitch * 4 <= kSharedBytes);

  float sum[kWarpRows / 16][kWarpCols / 8][4];

  /// 16 rows and 16 of depth, as the left operand. Lanes give the rows of the four 8 × 8 pieces: first both
  /// of the lower depth.
  __device__ static void load_left(uint32_t (&r)[4], const unsigned char* tile, int row, int piece) {
    const int lane = threadIdx.x % 32;
    if (kAcrossA) {
      load_matrices_transposed(
          r, tile + TileA::place(piece * 8 + (lane & 7) + (lane >> 4) * 8, row / 8 + ((lane >> 3) & 1)));
    } else {
      load_matrices(r, tile + TileA::place(row + (lane & 15), piece + (lane >> 4)));
    }
  }
  /// 16 columns and 16 of depth, as two right operands behind each other.
  __device__ static void load_right(uint32_t (&r)[4], const unsigned char* tile, int col, int piece) {
    const int lane = threadIdx.x % 32;
    if (kAcrossB) {
      load_matrices_transposed(
          r, tile + TileB::place(piece * 8 + (lane & 7) + ((lane >> 3) & 1) * 8, col / 8 + (lane >> 4)));
    } else {
      load_matrices(r, tile + TileB::place(col + (lane & 7) + (lane >> 4) * 8, piece + ((lane >> 3) & 1)));
    }
  }

  __device__ void multiply(const unsigned char* a, const unsigned char* b, int row, int col) {
#pragma unroll
    for (int piece = 0; piece < kDepth / 8; piece += 2) {
      uint32_t left[kWarpRows / 16][4], right[kWarpCols / 16][4];
#pragma unroll
      for (int i = 0; i < kWarpRows / 16; ++i) load_left(left[i], a, row + i * 16, piece);
#pragma unroll
      for (int j = 0; j < kWarpCols / 16; ++j) load_right(right[j], b, col + j * 16, piece);
#pragma unroll
      for (int i = 0; i < kWarpRows / 16; ++i) {
#pragma unroll
        for (int j = 0; j < kWarpCols / 8; ++j)
          multiply_add(sum[i][j], left[i], right[j / 2][j % 2 * 2], right[j / 2][j % 2 * 2 + 1]);
      }
    }
  }

  /// Lays 16 rows of results into the warp's slab.
  __device__ static void lay(float* slab, const float (&results)[kWarpCols / 8][4]) {
    const int lane = threadIdx.x % 32;
    float* to = slab + lane / 4 * kSlabPitch + lane % 4 * 2;
#pragma unroll
    for (int j = 0; j < kWarpCols / 8; ++j) {
      lay_two(to + j * 8, results[j][0], results[j][1]);
      lay_two(to + 8 * kSlabPitch + j * 8, results[j][2], results[j][3]);
    }
  }

  /// Rows [row, row + kRows) below row_end of out.
  __device__ static void run(const Operand& a, const Operand& b, int depth, int row, int row_end,
                             const Columns& columns, const ProductOutput& to) {
    __shared__ __align__(128) unsigned char stages[kSharedBytes];
    TileA tile_a;
    TileB tile_b;
    tile_a.aim(a, row_end, [&](int r) { return row + r < row_end ? row + r : -1; });
    tile_b.aim(b, columns.end, columns);
    HalfProduct product = {};
    const int warp = threadIdx.x / 32, warp_row = warp / kWarpsAcross * kWarpRows,
              warp_col = warp % kWarpsAcross * kWarpCols;
    pipeline((depth + kDepth - 1) / kDepth,
             [&](int stage, int step) {
               tile_a.copy(a, stages + stage * kStageBytes, step * kDepth, depth);
               tile_b.copy(b, stages + stage * kStageBytes + TileA::kBytes, step * kDepth, depth);
             },
             [&](int stage) {
               product.multiply(stages + stage * kStageBytes, stages + stage * kStageBytes + TileA::kBytes,
                                warp_row, warp_col);
             });
    float* slab = reinterpret_cast<float*>(stages) + warp * kSlabRows * kSlabPitch;
#pragma unroll 1  // one copy of the long end
    for (int i = 0; i < kWarpRows / 16; ++i) {
#pragma unroll
      for (int chosen = 0; chosen < kWarpRows / 16; ++chosen) {
        if (chosen == i) lay(slab, product.sum[chosen]);
      }
      __syncwarp();
      finish_slab<kSlabPitch>(to, slab, row + warp_row + i * 16, row_end, columns, warp_col);
      __syncwarp();
    }
  }
};

}  // namespace gristmill::runtime::cuda

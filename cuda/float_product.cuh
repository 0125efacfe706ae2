#pragma once

// A tile of a product in f32, by multiply-add: 64 × 128 with 4 warps of 32 × 64, 8 × 8 results a thread, so
// that 16 bytes read from shared memory serve 16 multiply-adds. Each result is summed up in the order of
// depth.

#include "cuda/product_tiles.cuh"

namespace gristmill::runtime::cuda {

template <bool kAcrossA, bool kAcrossB>
struct FloatProduct {
  static constexpr int kRows = 64, kCols = 128, kWarpRows = 32, kWarpCols = 64, kThreads = 128, kOwn = 8;
  using TileA = Tile<float, kRows, kAcrossA, kThreads>;
  using TileB = Tile<float, kCols, kAcrossB, kThreads>;
  static constexpr int kStageBytes = TileA::kBytes + TileB::kBytes, kDepth = TileA::kDepth, kSlabPitch = 72;
  static constexpr int kSharedBytes = kStages * kStageBytes;
  static_assert(kThreads / 32 * kSlabRows * kSlabPitch * 4 <= kSharedBytes);

  float sum[kOwn][kOwn];

  /// Which of the warp's rows (kLanes lanes share them) a lane has as its i-th: every kLanes-th where depth
  /// is contiguous, else runs of four, so that 16 bytes hold four of its own.
  template <bool kAcross, int kLanes>
  __device__ static int own(int lane, int i) {
    return kAcross ? i / 4 * 4 * kLanes + lane * 4 + i % 4 : lane + i * kLanes;
  }

  /// Four steps of depth of four of a lane's rows, from its `start`-th on.
  template <class Tile, bool kAcross, int kLanes>
  __device__ static void load(float (&to)[4][4], const unsigned char* tile, int first, int lane, int start,
                              int piece) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int row = kAcross ? piece * 4 + i : first + own<false, kLanes>(lane, start + i);
      const int at = kAcross ? (first + own<true, kLanes>(lane, start)) / 4 : piece;
      const float4 all = *reinterpret_cast<const float4*>(tile + Tile::place(row, at));
      const float values[4] = {all.x, all.y, all.z, all.w};
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        if (kAcross) {
          to[e][i] = values[e];
        } else {
          to[i][e] = values[e];
        }
      }
    }
  }

  __device__ void multiply(const unsigned char* a, const unsigned char* b, int row, int col) {
    const int lane_row = threadIdx.x % 32 / 8, lane_col = threadIdx.x % 8;
#pragma unroll 1  // more at once would not fit into registers
    for (int piece = 0; piece < kDepth / 4; ++piece) {
      float left[kOwn / 4][4][4], right[4][4];
      load<TileA, kAcrossA, 4>(left[0], a, row, lane_row, 0, piece);
      load<TileA, kAcrossA, 4>(left[1], a, row, lane_row, 4, piece);
#pragma unroll
      for (int start = 0; start < kOwn; start += 4) {
        load<TileB, kAcrossB, 8>(right, b, col, lane_col, start, piece);
#pragma unroll
        for (int k = 0; k < 4; ++k) {
#pragma unroll
          for (int i = 0; i < kOwn; ++i) {
#pragma unroll
            for (int j = 0; j < 4; ++j)
              sum[i][start + j] = fmaf(left[i / 4][i % 4][k], right[j][k], sum[i][start + j]);
          }
        }
      }
    }
  }

  /// Lays four of a thread's rows, 16 of the warp's, into the warp's slab: where a thread's rows are
  /// neighbours, turned, since rows that are four apart would meet in a bank.
  __device__ static void lay(float* slab, const float (*results)[kOwn]) {
    const int lane_row = threadIdx.x % 32 / 8, lane_col = threadIdx.x % 8;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      float* to = slab + (lane_row + i * 4) * kSlabPitch;
#pragma unroll
      for (int j = 0; j < kOwn; j += kAcrossB ? 4 : 1) {
        float* place = to + own<kAcrossB, 8>(lane_col, j);
        if (kAcrossB) {
          lay_four(place, results[i][j], results[i][j + 1], results[i][j + 2], results[i][j + 3]);
        } else {
          *place = results[i][j];
        }
      }
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
    FloatProduct product = {};
    const int warp = threadIdx.x / 32, warp_row = warp / 2 * kWarpRows, warp_col = warp % 2 * kWarpCols;
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
    for (int half = 0; half < 2; ++half) {
#pragma unroll
      for (int chosen = 0; chosen < 2; ++chosen) {
        if (chosen == half) lay(slab, product.sum + chosen * 4);
      }
      __syncwarp();
#pragma unroll 1
      for (int col = 0; col < kWarpCols; col += 32) {
        finish_slab<kSlabPitch, kAcrossA>(to, slab + col, row + warp_row + half * kSlabRows, row_end, columns,
                                          warp_col + col);
      }
      __syncwarp();
    }
  }
};

}  // namespace gristmill::runtime::cuda

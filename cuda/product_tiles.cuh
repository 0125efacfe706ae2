#pragma once

// Tiles of operands in shared memory, copied asynchronously while earlier ones are multiplied, for products
// on tensor cores and in f32 alike.
//
// An operand is "along" when its depth is contiguous (a row of the tile is 64 bytes, four pieces of 16), and
// "across" when its rows are (a row of the tile is one step of depth). Pieces change places within 128 bytes
// by the number of their row, so that neither copies nor ldmatrix, which read eight rows at once, meet in a
// bank; that takes no padding.

#include "cuda/product_output.cuh"
#include "cuda/tensor_core.cuh"

namespace gristmill::runtime::cuda {

constexpr int kPieceBytes = 16, kAlongBytes = 64, kStages = 3;

/// 16 bytes to shared memory, of which `bytes` are read and the others become zero.
__device__ inline void copy_piece(void* to, const void* from, int bytes) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from),
               "r"(bytes)
               : "memory");
}

/// Wide stores to shared memory. Written in C++ the compiler takes some of them apart.
__device__ inline void lay_two(float* to, float x, float y) {
  asm volatile("st.shared.v2.f32 [%0], {%1, %2};" ::"r"(shared_address(to)), "f"(x), "f"(y) : "memory");
}
__device__ inline void lay_four(float* to, float x, float y, float z, float w) {
  asm volatile("st.shared.v4.f32 [%0], {%1, %2, %3, %4};" ::"r"(shared_address(to)), "f"(x), "f"(y), "f"(z),
               "f"(w)
               : "memory");
}

/// One operand's tile of kRows rows (of out's rows or columns) and 64 bytes of depth.
template <class Element, int kRows, bool kAcross, int kThreads>
struct Tile {
  static constexpr int kSize = static_cast<int>(sizeof(Element)), kPiece = kPieceBytes / kSize,
                       kDepth = kAlongBytes / kSize, kBytes = kRows * kAlongBytes,
                       kPieces = kBytes / kPieceBytes / kThreads;
  static constexpr int kLine = kAcross ? kRows / kPiece : kAlongBytes / kPieceBytes;  ///< pieces of a row
  static_assert(kThreads % kLine == 0 && kBytes % (kThreads * kPieceBytes) == 0);

  /// The byte of piece `piece` of row `row`.
  __device__ static int place(int row, int piece) {
    if (!kAcross) return row * kAlongBytes + ((piece ^ (row >> 1)) & 3) * kPieceBytes;
    // f32 is read along a row: any order is free of conflicts.
    return (row * kLine + (kSize == 2 ? piece ^ (row & 7) : piece)) * kPieceBytes;
  }

  const char* from[kPieces];
  int64_t stride;  ///< bytes
  int valid;       ///< across: bytes that this thread's pieces have

  /// row_at(r): the row of the operand of row r of the tile, rows that are contiguous being so in runs of
  /// 8; negative for none.
  template <class RowAt>
  __device__ void aim(const Operand& operand, int end, const RowAt& row_at) {
    stride = operand.stride * kSize;
    const auto* data = static_cast<const char*>(operand.data);
    const int piece = threadIdx.x % kLine, first = threadIdx.x / kLine;
#pragma unroll
    for (int i = 0; i < kPieces; ++i) {
      const int row = first + i * (kThreads / kLine);
      if (kAcross) {
        const int at = row_at(piece * kPiece);
        valid = at < 0 ? 0 : min(end - at, kPiece) * kSize;
        from[i] = data + (at < 0 ? 0 : static_cast<int64_t>(at) * kSize + row * stride);
      } else {
        const int at = row_at(row);
        from[i] = at < 0 ? nullptr : data + at * stride + piece * kPieceBytes;
      }
    }
  }

  /// Starts to copy the tile at depth k of `depth`.
  __device__ void copy(const Operand& operand, unsigned char* tile, int k, int depth) const {
    const int piece = threadIdx.x % kLine, first = threadIdx.x / kLine;
#pragma unroll
    for (int i = 0; i < kPieces; ++i) {
      const int row = first + i * (kThreads / kLine);
      int bytes = 0;
      int64_t offset = 0;
      if (kAcross) {
        bytes = k + row < depth ? valid : 0;
        offset = k * stride;
      } else {
        bytes = from[i] == nullptr ? 0 : max(min(depth - k - piece * kPiece, kPiece), 0) * kSize;
        offset = static_cast<int64_t>(k) * kSize;
      }
      copy_piece(tile + place(row, piece), bytes > 0 ? from[i] + offset : operand.data, bytes);
    }
  }
};

/// Copies kStages - 1 tiles ahead of what multiply(stage) works on; `copy(stage, step)` starts one. One
/// barrier a step: whoever has passed it knows that all have finished with the stage that is copied to next.
template <class Copy, class Multiply>
__device__ inline void pipeline(int steps, const Copy& copy, const Multiply& multiply) {
#pragma unroll
  for (int step = 0; step < kStages - 1; ++step) {
    if (step < steps) copy(step, step);
    commit_copies();
  }
  int stage = 0, free_stage = kStages - 1;
  for (int step = 0; step < steps; ++step) {
    wait_copies<kStages - 2>();
    __syncthreads();
    if (step + kStages - 1 < steps) copy(free_stage, step + kStages - 1);
    commit_copies();
    multiply(stage);
    stage = stage + 1 == kStages ? 0 : stage + 1;
    free_stage = free_stage + 1 == kStages ? 0 : free_stage + 1;
  }
  wait_copies<0>();
  __syncthreads();
}

/// Which tile of out a block makes. Blocks that run at about the same time share rows of a and of b in the
/// second-level cache: they walk down 8 tiles before they step to the next column of tiles.
struct TilePlace {
  int down, across;
};
__device__ inline TilePlace tile_place(uint32_t block, uint32_t down, uint32_t across) {
  constexpr uint32_t kBand = 8;
  const uint32_t band = block / (kBand * across), first = band * kBand, height = min(down - first, kBand);
  const uint32_t rest = block - band * kBand * across;
  return {static_cast<int>(first + rest % height), static_cast<int>(rest / height)};
}

}  // namespace gristmill::runtime::cuda

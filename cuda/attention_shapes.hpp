#pragma once

// How attention is cut into blocks: what the host needs for a launch and the kernels are compiled for. C++17
// and without includes of the toolkit, since both compilers read it.
//
// A kernel is compiled for some widths of a head; a narrower head takes the next one, its tiles filled up
// with zeros. Rows of a tile in shared memory lie 16 bytes further apart than they are wide, so that eight
// rows at one column, which is what ldmatrix and the lanes of plain products read together, lie in different
// banks.

#include <cstdint>

namespace gristmill::runtime::cuda {

constexpr int64_t kWidestHead = 256;

/// Products in bf16 on tensor cores: 4 warps of 16 rows.
template <int kWidth>
struct HalfShape {
  static constexpr int kRows = 64, kThreads = 128;
  static constexpr int kPitch = kWidth + 8;  ///< elements
  /// Keys of a tile: fewer where sums fill the registers.
  static constexpr int kKeys = kWidth > 128 ? 32 : 64;
  static constexpr int kForwardBytes = (kRows + 2 * kKeys) * kPitch * 2;

  /// The backward keeps two tiles of kBackwardRows and streams two of kStreamedRows, each twice over: half as
  /// many rows where the sums fill the registers.
  static constexpr int kBackwardRows = kRows, kStreamedRows = kWidth > 64 ? 32 : 64;
  static constexpr int kBackwardBytes = (2 * kBackwardRows + 4 * kStreamedRows) * kPitch * 2;
  /// Warps that share 16 rows in the kernel of dk and dv, each with a part of the columns, since it has sums
  /// of both.
  static constexpr int kColumnParts = kWidth > 128 ? 2 : 1;
  static constexpr int kBackwardThreads = kThreads * kColumnParts;
};

/// Products in f32 by plain multiplications: 16 × 16 threads, each with a square of a tile of scores.
template <int kWidth>
struct FloatShape {
  static constexpr int kThreads = 256, kBackwardThreads = kThreads;
  static constexpr int kPitch = kWidth + 4;
  static constexpr int kRows = kWidth > 128 ? 32 : 64, kKeys = kRows;
  static constexpr int kBackwardRows = kWidth > 64 ? 32 : 64;
  /// Of rows of weights in shared memory: two rows that a warp writes together lie 16 banks apart.
  static constexpr int weight_bytes(int rows) { return rows * (rows + 256 / rows) * 4; }
  static constexpr int kForwardBytes = 3 * kRows * kPitch * 4 + weight_bytes(kRows);
  static constexpr int kBackwardBytes = 4 * kBackwardRows * kPitch * 4 + weight_bytes(kBackwardRows);
};

/// What the backward needs of each query row of a head, made once: the logsumexp in units of log2, D = Σ
/// dout·out, and the rows [begin, end) of its document.
struct alignas(16) QueryFacts {
  float lse, delta;
  int32_t begin, end;
};

/// Keys of a part of a cache, where few rows are shared out over many blocks; a whole number of tiles.
constexpr int32_t kCachePart = 256;

/// Where the sums of parts go: for each row, head and part as many floats as a head is wide, then their
/// maximum and total weight, and two more so that 16-byte accesses stay aligned. One part: sums are finished
/// at once.
struct CacheParts {
  float* data;
  int32_t count, keys;
};
constexpr int32_t kPartTotals = 4;

}  // namespace gristmill::runtime::cuda

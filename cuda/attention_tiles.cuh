#pragma once

// What attention's kernels share: one head's columns of a view, tiles of it in shared memory, rows back to
// global memory, and what a row may see. Views are often columns of a wider matrix (q, k and v of one
// product), so that neither their distance nor their alignment is known: 16-byte accesses are for those that
// allow them.

#include <cstdint>

#include "cuda/arguments.hpp"
#include "cuda/attention_shapes.hpp"
#include "cuda/bf16.cuh"
#include "cuda/tensor_core.cuh"

namespace gristmill::runtime::cuda {

/// A head's columns of a matrix.
struct Head {
  template <class Matrix>
  __device__ Head(const Matrix& m, int64_t head, int width_, int64_t row = 0)
      : data(static_cast<char*>(const_cast<void*>(m.data)) +
             (row * m.stride + head * width_) * (m.narrow ? 2 : 4)),
        stride(m.stride),
        width(width_),
        narrow(m.narrow) {
    const int64_t size = narrow ? 2 : 4;
    const auto all = reinterpret_cast<uint64_t>(data) | static_cast<uint64_t>(stride * size) |
                     static_cast<uint64_t>(width * size);
    wide = (all & 15) == 0;
  }
  __device__ float value(int64_t at) const {
    return narrow ? widened(reinterpret_cast<const uint16_t*>(data)[at])
                  : reinterpret_cast<const float*>(data)[at];
  }

  char* data;
  int64_t stride;  ///< elements
  int width;
  bool narrow, wide;  ///< wide: rows are made of 16-byte accesses
};

/// Calls body(row, piece) for the share of this thread of kRows rows of kPieces pieces of 16 bytes:
/// neighbours take neighbouring pieces, and a thread keeps its column.
template <int kRows, int kPieces, int kThreads, class Body>
__device__ inline void each_piece(const Body& body) {
  constexpr int kStep = kThreads / kPieces;
  const int piece = static_cast<int>(threadIdx.x) % kPieces, first = static_cast<int>(threadIdx.x) / kPieces;
  if (kThreads % kPieces != 0 && first >= kStep) return;
#pragma unroll
  for (int row = first; row < kRows; row += kStep) body(row, piece);
}

/// kRows rows as bf16; row_at(row) is where a row begins, in elements, or negative for a row of zeros.
/// Columns behind the head's are zeros too. The copy may be asynchronous.
template <int kRows, int kWidth, int kThreads, class RowAt>
__device__ inline void load_tile(uint16_t* to, const Head& from, const RowAt& row_at) {
  if (from.narrow && from.wide) {
    each_piece<kRows, kWidth / 8, kThreads>([&](int row, int piece) {
      const int64_t at = row_at(row);
      const bool inside = at >= 0 && piece * 8 < from.width;
      copy_async(to + row * HalfShape<kWidth>::kPitch + piece * 8,
                 from.data + (inside ? at * 2 + piece * 16 : 0), inside);
    });
    return;
  }
#pragma unroll 1
  for (int i = static_cast<int>(threadIdx.x); i < kRows * (kWidth / 2); i += kThreads) {
    const int row = i / (kWidth / 2), col = i % (kWidth / 2) * 2;
    const int64_t at = row_at(row);
    const float low = at >= 0 && col < from.width ? from.value(at + col) : 0.0f;
    const float high = at >= 0 && col + 1 < from.width ? from.value(at + col + 1) : 0.0f;
    *reinterpret_cast<uint32_t*>(to + row * HalfShape<kWidth>::kPitch + col) = narrowed_pair(low, high);
  }
}

/// The same as f32, from f32.
template <int kRows, int kWidth, int kThreads, class RowAt>
__device__ inline void load_tile(float* to, const Head& from, const RowAt& row_at) {
  each_piece<kRows, kWidth / 4, kThreads>([&](int row, int piece) {
    const int64_t at = row_at(row);
    float* place = to + row * FloatShape<kWidth>::kPitch + piece * 4;
    const char* source = from.data + (at >= 0 ? at * 4 + piece * 16 : 0);
    if (from.wide) {
      const bool inside = at >= 0 && piece * 4 < from.width;
      return copy_async(place, inside ? source : from.data, inside);
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const bool inside = at >= 0 && piece * 4 + i < from.width;
      copy_async_word(place + i, inside ? source + i * 4 : from.data, inside);
    }
  });
}

/// Row `row` of a tile that begins at `first` of a head's rows; none at or behind `end`.
struct RowsFrom {
  int64_t stride;
  int first, end;
  __device__ int64_t operator()(int row) const { return first + row < end ? (first + row) * stride : -1; }
};

/// Word w of lane l and word l of lane w change places among four neighbours.
__device__ inline void transpose_quad(uint32_t (&word)[4]) {
#pragma unroll
  for (int bit = 1; bit <= 2; bit *= 2) {
    const bool upper = (threadIdx.x & bit) != 0;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if ((i & bit) != 0) continue;
      const uint32_t got = __shfl_xor_sync(kAllLanes, upper ? word[i] : word[i + bit], bit);
      if (upper) {
        word[i] = got;
      } else {
        word[i + bit] = got;
      }
    }
  }
}

/// Writes one row of results times `factor`, as the lanes hold it after products on tensor cores: value(j, e)
/// is column j·8 + 2·(lane % 4) + e. All lanes of a warp call it; `at` is negative for a row that is not
/// there.
template <int kWidth, class Value>
__device__ inline void store_row(const Head& to, int64_t at, int first_col, float factor,
                                 const Value& value) {
  const int lane = static_cast<int>(threadIdx.x) & 3;
  if (to.narrow && to.wide) {
#pragma unroll
    for (int j = 0; j < kWidth / 8; j += 4) {
      uint32_t word[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) word[i] = narrowed_pair(value(j + i, 0) * factor, value(j + i, 1) * factor);
      transpose_quad(word);  // now eight columns of this lane's own
      const int col = first_col + (j + lane) * 8;
      if (at >= 0 && col < to.width)
        *reinterpret_cast<uint4*>(to.data + (at + col) * 2) = make_uint4(word[0], word[1], word[2], word[3]);
    }
    return;
  }
#pragma unroll
  for (int j = 0; j < kWidth / 8; ++j) {
#pragma unroll
    for (int e = 0; e < 2; ++e) {
      const int col = first_col + j * 8 + lane * 2 + e;
      if (at < 0 || col >= to.width) continue;
      if (to.narrow) {
        reinterpret_cast<uint16_t*>(to.data)[at + col] = narrowed(value(j, e) * factor);
      } else {
        reinterpret_cast<float*>(to.data)[at + col] = value(j, e) * factor;
      }
    }
  }
}

/// The keys [begin, end) that a row sees.
struct Span {
  int begin, end;
  __device__ bool sees(int key) const {
    return static_cast<uint32_t>(key - begin) < static_cast<uint32_t>(end - begin);
  }
  __device__ bool meets(int first, int count) const { return begin < first + count && end > first; }
  __device__ bool covers(int first, int count) const { return begin <= first && end >= first + count; }
};

/// The document of a packed row, found in its starts by halving. Starts that do not hold the row are an error
/// of the caller.
__device__ inline Span document_of(const Indices& starts, int row) {
  int64_t low = 0,
          high = starts.count;  // starts before `low` are at most row, those from `high` on are above
  while (low < high) {
    const int64_t middle = (low + high) / 2;
    if (starts.data[middle * starts.stride] <= row) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  if (low == 0 || low == starts.count) __trap();
  return {starts.data[(low - 1) * starts.stride], starts.data[low * starts.stride]};
}

extern __shared__ __align__(16) unsigned char shared_bytes[];

/// 2^x in one instruction; what is not a normal number becomes 0, which as a weight it is.
__device__ inline float power_of_two(float x) {
  float result;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
}

constexpr float kLog2E = 1.4426950408889634f, kLn2 = 0.6931471805599453f;

}  // namespace gristmill::runtime::cuda

#pragma once

// Element-wise access to rows of f32 or bf16, four elements at a time: one access of 16 bytes (8 for bf16)
// where the address allows it, else element by element. Four and not more, so that 32 lanes read an unbroken
// run of memory in both types.

#include <cstdint>

#include "cuda/arguments.hpp"
#include "cuda/bf16.cuh"

namespace gristmill::runtime::cuda {

constexpr int kRun = 4;  ///< elements of a thread; kTileRun in tiles.hpp is the same

struct Four {
  float at[kRun];
};

/// Where the calling thread works: `count` (0 to 4) elements from (row, col). See tiles.hpp.
struct Place {
  int64_t row, col;
  int count;
};

__device__ inline int run_length(int64_t left) {
  return left >= kRun ? kRun : left > 0 ? static_cast<int>(left) : 0;
}

/// The place of this thread in a grid of tiled().
__device__ inline Place place_in(uint32_t tiles_across, int64_t rows, int64_t cols) {
  const uint32_t band = blockIdx.x / tiles_across, tile = blockIdx.x - band * tiles_across;
  const int64_t row = static_cast<int64_t>(band) * blockDim.y + threadIdx.y;
  const int64_t col = (static_cast<int64_t>(tile) * blockDim.x + threadIdx.x) * kRun;
  return {row, col, row < rows ? run_length(cols - col) : 0};
}

__device__ inline bool aligned(const void* address, uint32_t bytes) {
  return (reinterpret_cast<uint64_t>(address) & (bytes - 1)) == 0;
}

/// `count` elements from `p` on; the others are 0.
__device__ inline Four load_floats(const float* p, int count) {
  Four out = {};
  if (count == kRun && aligned(p, 16)) {
    const float4 all = *reinterpret_cast<const float4*>(p);
    return {all.x, all.y, all.z, all.w};
  }
#pragma unroll
  for (int i = 0; i < kRun; ++i) {
    if (i < count) out.at[i] = p[i];
  }
  return out;
}

__device__ inline Four load_halves(const uint16_t* p, int count) {
  Four out = {};
  if (count == kRun && aligned(p, 8)) {
    const uint2 all = *reinterpret_cast<const uint2*>(p);
    return {low_half(all.x), high_half(all.x), low_half(all.y), high_half(all.y)};
  }
#pragma unroll
  for (int i = 0; i < kRun; ++i) {
    if (i < count) out.at[i] = widened(p[i]);
  }
  return out;
}

/// Wide stores are instructions of their own: written in C++, the compiler takes them apart, since the
/// element by element path beside them stores the same.
__device__ inline void store_wide(uint32_t* p, const uint4& in) {
  asm volatile("st.global.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(__cvta_generic_to_global(p)), "r"(in.x),
               "r"(in.y), "r"(in.z), "r"(in.w)
               : "memory");
}
__device__ inline void store_wide(uint16_t* p, const uint2& in) {
  asm volatile("st.global.v2.u32 [%0], {%1, %2};" ::"l"(__cvta_generic_to_global(p)), "r"(in.x), "r"(in.y)
               : "memory");
}

__device__ inline void store_floats(float* p, const Four& in, int count) {
  if (count == kRun && aligned(p, 16)) {
    return store_wide(reinterpret_cast<uint32_t*>(p),
                      make_uint4(__float_as_uint(in.at[0]), __float_as_uint(in.at[1]),
                                 __float_as_uint(in.at[2]), __float_as_uint(in.at[3])));
  }
#pragma unroll
  for (int i = 0; i < kRun; ++i) {
    if (i < count) p[i] = in.at[i];
  }
}

__device__ inline void store_halves(uint16_t* p, const Four& in, int count) {
  if (count == kRun && aligned(p, 8)) {
    return store_wide(p, make_uint2(narrowed_pair(in.at[0], in.at[1]), narrowed_pair(in.at[2], in.at[3])));
  }
#pragma unroll
  for (int i = 0; i < kRun; ++i) {
    if (i < count) p[i] = narrowed(in.at[i]);
  }
}

/// Elements [col, col + count) of a row, widened. Works on Rows and ConstRows.
template <class Matrix>
__device__ inline Four load(const Matrix& m, int64_t row, int64_t col, int count) {
  const int64_t offset = row * m.stride + col;
  if (m.narrow) return load_halves(static_cast<const uint16_t*>(m.data) + offset, count);
  return load_floats(static_cast<const float*>(m.data) + offset, count);
}

__device__ inline void store(const Rows& m, int64_t row, int64_t col, const Four& in, int count) {
  const int64_t offset = row * m.stride + col;
  if (m.narrow) return store_halves(static_cast<uint16_t*>(m.data) + offset, in, count);
  store_floats(static_cast<float*>(m.data) + offset, in, count);
}

/// Moves elements of one size as they are.
template <class Word, class Vector>
__device__ inline void move_words(Word* to, const Word* from, int count) {
  if (count == kRun && aligned(to, sizeof(Vector)) && aligned(from, sizeof(Vector))) {
    return store_wide(to, *reinterpret_cast<const Vector*>(from));
  }
#pragma unroll
  for (int i = 0; i < kRun; ++i) {
    if (i < count) to[i] = from[i];
  }
}

/// out(row, col…) = in(from_row, col…): bit for bit between equal types.
__device__ inline void move(const Rows& out, const Place& at, const ConstRows& in, int64_t from_row) {
  if (at.count == 0) return;
  const int64_t to = at.row * out.stride + at.col, from = from_row * in.stride + at.col;
  if (in.narrow != out.narrow) {
    store(out, at.row, at.col, load(in, from_row, at.col, at.count), at.count);
  } else if (in.narrow) {
    move_words<uint16_t, uint2>(static_cast<uint16_t*>(out.data) + to,
                                static_cast<const uint16_t*>(in.data) + from, at.count);
  } else {
    move_words<uint32_t, uint4>(static_cast<uint32_t*>(out.data) + to,
                                static_cast<const uint32_t*>(in.data) + from, at.count);
  }
}

/// One element of a matrix of f32.
template <class Matrix>
__device__ inline float element(const Matrix& m, int64_t row, int64_t col) {
  return static_cast<const float*>(m.data)[row * m.stride + col];
}

/// An index that is about to be followed. One outside [0, limit) is an error of the caller: the GPU stops,
/// and whoever waits for it is told.
__device__ inline int64_t index_at(const Indices& indices, int64_t i, int64_t limit) {
  const int64_t index = indices.data[i * indices.stride];
  if (index < 0 || index >= limit) __trap();
  return index;
}

}  // namespace gristmill::runtime::cuda

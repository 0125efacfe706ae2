#pragma once

// Packing: strips of `width` lines (rows of a, columns of b) lie step by step, to[step · width + line], so
// that the tile loop reads both operands in order. A step is one item of 32 bits: a float, a float rounded to
// bf16, or a pair of bf16 that follow each other along the depth.

#include "runtime/cpu/kernels.hpp"
#include "runtime/cpu/simd.hpp"

namespace gristmill::runtime::cpu {
namespace {

/// f32 as it is.
struct Exact {
  static constexpr int64_t kStep = 1;
  GRISTMILL_INLINE static Vec item(Vec value) { return value; }
  GRISTMILL_INLINE static Vec multiply(Vec a, Vec b, Vec sum) { return fma(a, b, sum); }
  GRISTMILL_INLINE static Vec busy(Vec sum, Vec a, Vec b) { return fma(sum, a, b); }
};

/// bf16 in the form of floats, where no instruction multiplies it.
struct Rounded : Exact {
  GRISTMILL_INLINE static Vec item(Vec value) { return rounded_to_half(value); }
};

#if defined(__AVX512BF16__)
/// Pairs of bf16. The instruction adds both products of a pair to the sum, rounds to nearest even and takes
/// denormals (below 2^-126) for zero.
struct Paired {
  static constexpr int64_t kStep = 2;
  GRISTMILL_INLINE static Vec multiply(Vec a, Vec b, Vec sum) {
    return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b));
  }
  GRISTMILL_INLINE static Vec busy(Vec sum, Vec a, Vec b) { return multiply(a, b, sum); }

  /// Both rounded to bf16: first's numbers, then second's.
  GRISTMILL_INLINE static __m512i halves(Vec first, Vec second) {
    return reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(second, first));
  }
  /// Lane by lane pairs of what halves() gave. (The instructions without masks warn in g++ 12.)
  GRISTMILL_INLINE static Vec pairs(__m512i halves) {
    typedef uint16_t Index __attribute__((vector_size(64)));
    const Index order{0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                      8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    return reinterpret_cast<Vec>(
        _mm512_maskz_permutexvar_epi16(~0U, reinterpret_cast<__m512i>(order), halves));
  }
  /// Each of the two by itself: kLanes / 2 items.
  GRISTMILL_INLINE static void put_halves(float* first, float* second, __m512i halves) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(first), _mm512_maskz_extracti64x4_epi64(0xF, halves, 0));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(second), _mm512_maskz_extracti64x4_epi64(0xF, halves, 1));
  }
};
#endif

typedef float Quad __attribute__((vector_size(16)));
typedef float LooseQuad __attribute__((vector_size(16), aligned(2), may_alias));
typedef uint32_t LooseItem __attribute__((aligned(2), may_alias));

/// Four rows of four items, transposed.
GRISTMILL_INLINE void transpose_quad(float* to, int64_t to_stride, const char* from, int64_t from_bytes) {
  typedef int32_t Index __attribute__((vector_size(16)));
  const Quad r0 = *reinterpret_cast<const LooseQuad*>(from);
  const Quad r1 = *reinterpret_cast<const LooseQuad*>(from + from_bytes);
  const Quad r2 = *reinterpret_cast<const LooseQuad*>(from + 2 * from_bytes);
  const Quad r3 = *reinterpret_cast<const LooseQuad*>(from + 3 * from_bytes);
  const Quad low01 = __builtin_shuffle(r0, r1, Index{0, 4, 1, 5}),
             low23 = __builtin_shuffle(r2, r3, Index{0, 4, 1, 5});
  const Quad high01 = __builtin_shuffle(r0, r1, Index{2, 6, 3, 7}),
             high23 = __builtin_shuffle(r2, r3, Index{2, 6, 3, 7});
  *reinterpret_cast<LooseQuad*>(to) = __builtin_shuffle(low01, low23, Index{0, 1, 4, 5});
  *reinterpret_cast<LooseQuad*>(to + to_stride) = __builtin_shuffle(low01, low23, Index{2, 3, 6, 7});
  *reinterpret_cast<LooseQuad*>(to + 2 * to_stride) = __builtin_shuffle(high01, high23, Index{0, 1, 4, 5});
  *reinterpret_cast<LooseQuad*>(to + 3 * to_stride) = __builtin_shuffle(high01, high23, Index{2, 3, 6, 7});
}

#if defined(__AVX512F__)
// Items of two vectors that are put together.
constexpr IntVec kLow{0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29},
    kHigh{2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31},
    kLowPairs{0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29},
    kHighPairs{2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31},
    kEvenFours{0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27},
    kOddFours{4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31};

/// At most 16 rows of at most 16 items, transposed: pairs, then fours of rows, then fours of fours.
GRISTMILL_INLINE void transpose_tile(float* to, int64_t to_stride, const char* from, int64_t from_bytes,
                                     int64_t rows, int64_t cols) {
  const auto those = [](int64_t count) { return static_cast<__mmask16>((1U << count) - 1); };
  Vec row[16], pair[16];
#pragma GCC unroll 16
  for (int64_t r = 0; r < 16; ++r) {
    row[r] = r < rows ? Vec(_mm512_maskz_loadu_ps(those(cols), from + r * from_bytes)) : Vec{};
  }
#pragma GCC unroll 8
  for (int64_t r = 0; r < 16; r += 2) {
    pair[r] = __builtin_shuffle(row[r], row[r + 1], kLow);
    pair[r + 1] = __builtin_shuffle(row[r], row[r + 1], kHigh);
  }
#pragma GCC unroll 4
  for (int64_t r = 0; r < 16; r += 4) {  // row[r + j]: of rows r to r + 3 columns j, 4 + j, 8 + j and 12 + j
    row[r] = __builtin_shuffle(pair[r], pair[r + 2], kLowPairs);
    row[r + 1] = __builtin_shuffle(pair[r], pair[r + 2], kHighPairs);
    row[r + 2] = __builtin_shuffle(pair[r + 1], pair[r + 3], kLowPairs);
    row[r + 3] = __builtin_shuffle(pair[r + 1], pair[r + 3], kHighPairs);
  }
  const auto put = [&](int64_t c, Vec column) {
    if (c < cols) _mm512_mask_storeu_ps(to + c * to_stride, those(rows), column);
  };
#pragma GCC unroll 4
  for (int64_t j = 0; j < 4; ++j) {
    const Vec even = __builtin_shuffle(row[j], row[j + 4], kEvenFours),
              odd = __builtin_shuffle(row[j], row[j + 4], kOddFours),
              later_even = __builtin_shuffle(row[j + 8], row[j + 12], kEvenFours),
              later_odd = __builtin_shuffle(row[j + 8], row[j + 12], kOddFours);
    put(j, __builtin_shuffle(even, later_even, kEvenFours));
    put(j + 4, __builtin_shuffle(odd, later_odd, kEvenFours));
    put(j + 8, __builtin_shuffle(even, later_even, kOddFours));
    put(j + 12, __builtin_shuffle(odd, later_odd, kOddFours));
  }
}

/// to[c·to_stride + r] = item c of row r, rows from_bytes apart (perhaps not a multiple of 4).
GRISTMILL_INLINE void transpose_items(float* to, int64_t to_stride, const char* from, int64_t from_bytes,
                                      int64_t rows, int64_t cols) {
  for (int64_t c = 0; c < cols; c += 16) {
    for (int64_t r = 0; r < rows; r += 16) {
      transpose_tile(to + c * to_stride + r, to_stride, from + r * from_bytes + 4 * c, from_bytes,
                     lesser(16, rows - r), lesser(16, cols - c));
    }
  }
}
#else
/// to[c·to_stride + r] = item c of row r, rows from_bytes apart (perhaps not a multiple of 4), in runs of
/// columns whose destination stays in the first-level cache.
GRISTMILL_INLINE void transpose_items(float* to, int64_t to_stride, const char* from, int64_t from_bytes,
                                      int64_t rows, int64_t cols) {
  constexpr int64_t kRun = 128;
  const auto move = [&](int64_t r, int64_t c) {
    *reinterpret_cast<LooseItem*>(to + c * to_stride + r) =
        *reinterpret_cast<const LooseItem*>(from + r * from_bytes + 4 * c);
  };
  for (int64_t begin = 0; begin < cols; begin += kRun) {
    const int64_t end = lesser(begin + kRun, cols);
    int64_t r = 0;
    for (; r + 4 <= rows; r += 4) {
      int64_t c = begin;
      for (; c + 4 <= end; c += 4) {
        transpose_quad(to + c * to_stride + r, to_stride, from + r * from_bytes + 4 * c, from_bytes);
      }
      for (; c < end; ++c) {
        for (int64_t i = r; i < r + 4; ++i) move(i, c);
      }
    }
    for (; r < rows; ++r) {
      for (int64_t c = begin; c < end; ++c) move(r, c);
    }
  }
}
#endif

/// to[c·to_stride + r] = from[r·from_stride + c].
GRISTMILL_INLINE void transpose(float* to, int64_t to_stride, const float* from, int64_t from_stride,
                                int64_t rows, int64_t cols) {
  transpose_items(to, to_stride, reinterpret_cast<const char*>(from), 4 * from_stride, rows, cols);
}

GRISTMILL_INLINE int64_t bytes_of(const Operand& m) { return m.narrow ? 2 : 4; }
GRISTMILL_INLINE const char* element(const Operand& m, int64_t row, int64_t col) {
  return static_cast<const char*>(m.data) + (row * m.stride + col) * bytes_of(m);
}

constexpr int64_t kStageLines = 32, kStageItems = 128;

/// Converts a run of one line (contiguous along the depth) to items.
template <class Format>
GRISTMILL_INLINE void stage_line(float* items, const char* from, bool narrow, int64_t depth) {
  const auto each = [&](const auto* source) {
    if constexpr (Format::kStep == 2) {
      uint16_t* halves = reinterpret_cast<uint16_t*>(items);
      each_vector(depth, [&](int64_t i, auto get, auto put) { put(halves + i, get(source + i)); });
      if (depth % 2 != 0) halves[depth] = 0;
    } else {
      each_vector(depth,
                  [&](int64_t i, auto get, auto put) { put(items + i, Format::item(get(source + i))); });
    }
  };
  if (narrow) {
    each(reinterpret_cast<const uint16_t*>(from));
  } else {
    each(reinterpret_cast<const float*>(from));
  }
}

template <class Format>
constexpr bool is_stored_as_items(bool narrow) {
  if (narrow) return Format::kStep == 2;
  return __is_same(Format, Exact);
}

/// Lines that are contiguous along the depth: a transposition of items. At most kStageLines lines.
template <class Format>
void pack_deep(float* to, int64_t width, const Operand& m, const char* from, int64_t lines, int64_t depth) {
  const int64_t line_bytes = m.stride * bytes_of(m);
  int64_t done = 0;
  if (is_stored_as_items<Format>(m.narrow)) {
    done = depth / Format::kStep * Format::kStep;
    transpose_items(to, width, from, line_bytes, lines, depth / Format::kStep);
  }
  alignas(64) float stage[kStageLines * kStageItems];
  for (; done < depth; done += kStageItems * Format::kStep) {
    const int64_t run = lesser(kStageItems * Format::kStep, depth - done);
    for (int64_t line = 0; line < lines; ++line) {
      stage_line<Format>(stage + line * kStageItems, from + line * line_bytes + done * bytes_of(m), m.narrow,
                         run);
    }
    transpose(to + done / Format::kStep * width, width, stage, kStageItems, lines,
              (run + Format::kStep - 1) / Format::kStep);
  }
}

/// A bf16 in the upper halves: nothing to round where it comes from one.
template <class Element>
GRISTMILL_INLINE BitVec upper_half(Vec value) {
  if constexpr (sizeof(Element) == 2) return reinterpret_cast<BitVec>(value);
  return nearest_half(value);
}

/// Lines side by side, the depth from row to row.
template <class Format, class Element>
void pack_wide(float* to, int64_t width, const Element* from, int64_t stride, int64_t lines, int64_t depth) {
  if constexpr (Format::kStep == 2) {
    for (int64_t k = 0; k < depth; k += 2, to += width, from += 2 * stride) {
      const bool whole = k + 1 < depth;
      each_vector(lines, [&](int64_t i, auto get, auto put) {
        const BitVec first = upper_half<Element>(get(from + i)) >> 16;
        const BitVec second = whole ? upper_half<Element>(get(from + stride + i)) & 0xFFFF0000 : BitVec{};
        put(to + i, reinterpret_cast<Vec>(first | second));
      });
    }
  } else {
    for (int64_t k = 0; k < depth; ++k, to += width, from += stride) {
      each_vector(lines, [&](int64_t i, auto get, auto put) { put(to + i, Format::item(get(from + i))); });
    }
  }
}

/// A strip of `lines` from `from`; `deep` = contiguous along the depth.
template <class Format>
void pack_strip(float* to, int64_t width, const Operand& m, bool deep, const char* from, int64_t lines,
                int64_t depth) {
  if (deep) return pack_deep<Format>(to, width, m, from, lines, depth);
  if (m.narrow) {
    pack_wide<Format>(to, width, reinterpret_cast<const uint16_t*>(from), m.stride, lines, depth);
  } else {
    pack_wide<Format>(to, width, reinterpret_cast<const float*>(from), m.stride, lines, depth);
  }
}

}  // namespace
}  // namespace gristmill::runtime::cpu

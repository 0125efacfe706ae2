#pragma once

// Products with weights in int8 (runtime/int8.hpp). A row of a is rounded to scale · n with n in [-32639,
// 32639], and n = 256 · high + low in two signed bytes; what is summed are integers, and their sums are
// exact. So a product has the same bits on every instruction set, and with whatever rows it is computed:
// float((Σ q·n · scale of a's row) · scale of the weight's row), in doubles.

#include "runtime/cpu/kernels.hpp"
#include "runtime/cpu/product_kernels.hpp"
#include "runtime/cpu/simd.hpp"
#include "runtime/int8_layout.hpp"

namespace gristmill::runtime::cpu {
namespace {

constexpr float kSmallestNormal = 0x1p-126F;
constexpr float kLargestByte = 127, kLargestPair = 32639;  // 127 · 256 + 127

#if defined(__AVX512VNNI__)
/// Four bytes of a row, as vpdpbusd takes them.
typedef int8_t Digit;
constexpr int64_t kInt8TileRows = 6;  // 24 sums of 32 registers
#else
/// Four bytes of a row as 16 bits each, for vpmaddwd.
typedef int16_t Digit;
#if defined(__AVX512F__)
constexpr int64_t kInt8TileRows = 2;
#else
constexpr int64_t kInt8TileRows = 1;
#endif
#endif
typedef int8_t ByteVec __attribute__((vector_size(kLanes)));
typedef Digit DigitVec __attribute__((vector_size(kLanes * sizeof(Digit))));

/// What stands before the items of a packed tile of a: each item is four digits, and a tile has them group by
/// group, row by row, high before low.
struct Int8TileHead {
  float scale[kInt8TileRows];
  int32_t sums[kInt8TileRows][2];  ///< of the high and of the low digits
  alignas(64) Digit items[1];
};
constexpr int64_t kItemsAt = __builtin_offsetof(Int8TileHead, items);

int64_t groups_of(int64_t depth) { return (depth + kInt8Group - 1) / kInt8Group; }

int64_t int8_tile_bytes(int64_t depth) {
  return kItemsAt +
         padded(groups_of(depth) * kInt8TileRows * 2 * kInt8Group * static_cast<int64_t>(sizeof(Digit)), 64);
}

/// The scale that makes the largest number of a row `most`; no number where the row holds one that is none.
GRISTMILL_INLINE float scale_of(const float* row, int64_t size, float most) {
  Vec largest{}, wrong{};
  each_vector(size, [&](int64_t i, auto get, auto) {
    const Vec value = get(row + i);
    largest = larger(larger(value, -value), largest);
    wrong += value - value;
  });
  const float bad = sum_lanes(wrong), scale = largest_lane(largest) / most;
  if (bad != 0 || bad != bad) return __builtin_nanf("");
  return scale > kSmallestNormal ? scale : kSmallestNormal;
}

/// value / scale to the nearest integer, ties to even; any integer where the scale is no number.
GRISTMILL_INLINE IntVec rounded(Vec value, Vec scale, float most) {
  const Vec magic = splat(12582912.0F);  // 1.5·2^23: adding it rounds to an integer
  const Vec quotient = smaller(larger(value / scale, splat(-most)), splat(most));
  return reinterpret_cast<IntVec>(quotient + magic) - reinterpret_cast<IntVec>(magic);
}

/// Rows of a as a tile; rows ≤ kInt8TileRows.
void pack_int8_rows(char* packed, const float* from, int64_t stride, int64_t rows, int64_t depth) {
  auto* tile = reinterpret_cast<Int8TileHead*>(packed);
  const int64_t step = rows * 2 * kInt8Group, groups = groups_of(depth);
  for (int64_t r = 0; r < rows; ++r) {
    const float* row = from + r * stride;
    const float scale = scale_of(row, depth, kLargestPair);
    IntVec high_sum{}, low_sum{};
    each_vector(depth, [&](int64_t i, auto get, auto) {
      const IntVec number = rounded(get(row + i), splat(scale), kLargestPair);
      const IntVec high = (number + 128) >> 8, low = number - (high << 8);
      high_sum += high;
      low_sum += low;
      const DigitVec digits[2] = {__builtin_convertvector(high, DigitVec),
                                  __builtin_convertvector(low, DigitVec)};
      Digit* to = tile->items + i / kInt8Group * step + r * 2 * kInt8Group;
      const int64_t count = lesser(kLanes / kInt8Group, groups - i / kInt8Group);
      for (int64_t g = 0; g < count; ++g) {
        for (int64_t half = 0; half < 2; ++half) {
          __builtin_memcpy(to + g * step + half * kInt8Group,
                           reinterpret_cast<const Digit*>(&digits[half]) + g * kInt8Group,
                           kInt8Group * sizeof(Digit));
        }
      }
    });
    tile->scale[r] = scale;
    tile->sums[r][0] = tile->sums[r][1] = 0;
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      tile->sums[r][0] += high_sum[lane];
      tile->sums[r][1] += low_sum[lane];
    }
  }
}

/// Sums of one strip: Σ q·digit for each row, high and low, and each of the strip's 32 columns of the result.
typedef int32_t StripSums[kInt8TileRows][2][kInt8StripRows];

#if defined(__AVX512VNNI__)
/// The instruction multiplies unsigned by signed bytes: the weights get 128 added, and the sums it taken off.
template <int64_t Rows>
void int8_strip(const Int8TileHead& tile, const char* weights, int64_t groups, StripSums& sums) {
  __m512i sum[Rows][2][2];
#pragma GCC unroll 8
  for (int64_t r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
    for (int64_t half = 0; half < 2; ++half) {
      sum[r][half][0] = sum[r][half][1] = _mm512_set1_epi32(-128 * tile.sums[r][half]);
    }
  }
  const auto* items = reinterpret_cast<const LooseItem*>(tile.items);
  const __m512i offset = _mm512_set1_epi8(-128);
  for (int64_t g = 0; g < groups; ++g, items += 2 * Rows, weights += kInt8GroupBytes) {
    const __m512i w0 = _mm512_xor_si512(_mm512_loadu_si512(weights), offset);
    const __m512i w1 = _mm512_xor_si512(_mm512_loadu_si512(weights + 64), offset);
#pragma GCC unroll 8
    for (int64_t r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
      for (int64_t half = 0; half < 2; ++half) {
        const __m512i digits = _mm512_set1_epi32(static_cast<int32_t>(items[2 * r + half]));
        sum[r][half][0] = _mm512_dpbusd_epi32(sum[r][half][0], w0, digits);
        sum[r][half][1] = _mm512_dpbusd_epi32(sum[r][half][1], w1, digits);
      }
    }
  }
#pragma GCC unroll 8
  for (int64_t r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
    for (int64_t half = 0; half < 2; ++half) {
      _mm512_storeu_si512(&sums[r][half][0], sum[r][half][0]);
      _mm512_storeu_si512(&sums[r][half][16], sum[r][half][1]);
    }
  }
}
#elif defined(__AVX2__)
/// Weights widened to 16 bits, four columns (or eight) a vector; a pair of neighbouring sums belongs to one
/// column.
#if defined(__AVX512F__)
typedef __m512i WideVec;
GRISTMILL_INLINE WideVec wide_weights(const char* from) {
  return _mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
}
GRISTMILL_INLINE WideVec wide_digits(const Digit* from) {
  int64_t bits;
  __builtin_memcpy(&bits, from, sizeof(bits));
  return _mm512_set1_epi64(bits);
}
GRISTMILL_INLINE WideVec multiply_pairs(WideVec sum, WideVec a, WideVec b) {
  return _mm512_add_epi32(sum, _mm512_madd_epi16(a, b));
}
#else
typedef __m256i WideVec;
GRISTMILL_INLINE WideVec wide_weights(const char* from) {
  return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
}
GRISTMILL_INLINE WideVec wide_digits(const Digit* from) {
  int64_t bits;
  __builtin_memcpy(&bits, from, sizeof(bits));
  return _mm256_set1_epi64x(bits);
}
GRISTMILL_INLINE WideVec multiply_pairs(WideVec sum, WideVec a, WideVec b) {
  return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b));
}
#endif

template <int64_t Rows>
void int8_strip(const Int8TileHead& tile, const char* weights, int64_t groups, StripSums& sums) {
  constexpr int64_t kVectors = 4, kCols = kLanes / 2;  // of a vector
  for (int64_t first = 0; first < kInt8StripRows; first += kVectors * kCols) {
    WideVec sum[Rows][2][kVectors] = {};
    const Digit* items = tile.items;
    for (int64_t g = 0; g < groups; ++g, items += Rows * 2 * kInt8Group) {
      const char* from = weights + g * kInt8GroupBytes + first * kInt8Group;
#pragma GCC unroll 4
      for (int64_t v = 0; v < kVectors; ++v) {
        const WideVec w = wide_weights(from + v * kCols * kInt8Group);
#pragma GCC unroll 2
        for (int64_t r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
          for (int64_t half = 0; half < 2; ++half) {
            sum[r][half][v] =
                multiply_pairs(sum[r][half][v], w, wide_digits(items + (2 * r + half) * kInt8Group));
          }
        }
      }
    }
    for (int64_t r = 0; r < Rows; ++r) {
      for (int64_t half = 0; half < 2; ++half) {
        int32_t pairs[2 * kVectors * kCols];
        __builtin_memcpy(pairs, sum[r][half], sizeof(pairs));
        for (int64_t c = 0; c < kVectors * kCols; ++c)
          sums[r][half][first + c] = pairs[2 * c] + pairs[2 * c + 1];
      }
    }
  }
}
#else
template <int64_t Rows>
void int8_strip(const Int8TileHead& tile, const char* weights, int64_t groups, StripSums& sums) {
  static_assert(Rows == 1);
  for (int64_t half = 0; half < 2; ++half) {
    int32_t* sum = sums[0][half];
    for (int64_t c = 0; c < kInt8StripRows; ++c) sum[c] = 0;
    const Digit* digits = tile.items + half * kInt8Group;
    const auto* from = reinterpret_cast<const signed char*>(weights);
    for (int64_t g = 0; g < groups; ++g, digits += 2 * kInt8Group, from += kInt8GroupBytes) {
      for (int64_t c = 0; c < kInt8StripRows; ++c) {
        const signed char* w = from + c * kInt8Group;
        sum[c] += w[0] * digits[0] + w[1] * digits[1] + w[2] * digits[2] + w[3] * digits[3];
      }
    }
  }
}
#endif

using StripFunction = void (*)(const Int8TileHead&, const char*, int64_t, StripSums&);
constexpr StripFunction kInt8Strips[] = {
    nullptr,       int8_strip<1>,
#if defined(__AVX512F__)
    int8_strip<2>,
#endif
#if defined(__AVX512VNNI__)
    int8_strip<3>, int8_strip<4>, int8_strip<5>, int8_strip<6>,
#endif
};

/// Writes a tile's results of one strip to out, with the epilogue.
GRISTMILL_INLINE void finish_int8(const ProductBlock& out, const Int8TileHead& tile, const StripSums& sums,
                                  const float* scales, int64_t m, int64_t rows, int64_t n) {
  float values[kInt8StripRows];
  const int64_t width = lesser(kInt8StripRows, out.cols - n);
  for (int64_t r = 0; r < rows; ++r) {
    const double scale = static_cast<double>(tile.scale[r]);
    for (int64_t c = 0; c < kInt8StripRows; ++c) {
      const double sum = 256.0 * static_cast<double>(sums[r][0][c]) + static_cast<double>(sums[r][1][c]);
      values[c] = static_cast<float>(sum * scale * static_cast<double>(scales[c]));
    }
    if (out.out_narrow) {
      finish_tile(out, static_cast<uint16_t*>(out.out), values, m + r, n, 1, width);
    } else {
      finish_tile(out, static_cast<float*>(out.out), values, m + r, n, 1, width);
    }
  }
}

void int8_product(const Int8Block& args) {
  const int64_t groups = groups_of(args.out.depth), tile_bytes = int8_tile_bytes(args.out.depth);
  const char* strip = args.weight;
  for (int64_t n = 0; n < args.out.cols; n += kInt8StripRows, strip += kInt8GroupBytes * (1 + groups)) {
    const char* packed = args.packed;
    for (int64_t m = 0; m < args.out.rows; m += kInt8TileRows, packed += tile_bytes) {
      const auto& tile = *reinterpret_cast<const Int8TileHead*>(packed);
      const int64_t rows = lesser(kInt8TileRows, args.out.rows - m);
      StripSums sums;
      kInt8Strips[rows](tile, strip + kInt8GroupBytes, groups, sums);
      finish_int8(args.out, tile, sums, reinterpret_cast<const float*>(strip), m, rows, n);
    }
  }
}

/// A strip from `rows` ≤ 32 rows; what is missing is zero.
void pack_int8_strip(char* strip, const float* from, int64_t stride, int64_t rows, int64_t depth) {
  const int64_t groups = groups_of(depth);
  for (int64_t i = 0; i < kInt8GroupBytes * (1 + groups); ++i) strip[i] = 0;
  for (int64_t r = 0; r < rows; ++r) {
    const float* row = from + r * stride;
    const float scale = scale_of(row, depth, kLargestByte);
    reinterpret_cast<float*>(strip)[r] = scale;
    if (scale != scale) continue;
    each_vector(depth, [&](int64_t i, auto get, auto) {
      const ByteVec bytes =
          __builtin_convertvector(rounded(get(row + i), splat(scale), kLargestByte), ByteVec);
      char* to = strip + (1 + i / kInt8Group) * kInt8GroupBytes + r * kInt8Group;
      const int64_t count = lesser(kLanes / kInt8Group, groups - i / kInt8Group);
      for (int64_t g = 0; g < count; ++g) {
        __builtin_memcpy(to + g * kInt8GroupBytes, reinterpret_cast<const char*>(&bytes) + g * kInt8Group,
                         kInt8Group);
      }
    });
  }
}

/// The values of row `r` of a strip.
void unpack_int8_row(float* out, const char* strip, int64_t r, int64_t depth) {
  const float scale = reinterpret_cast<const float*>(strip)[r];
  for (int64_t i = 0; i < depth; ++i) {
    const char* at = strip + (1 + i / kInt8Group) * kInt8GroupBytes + r * kInt8Group + i % kInt8Group;
    out[i] = scale * static_cast<float>(*reinterpret_cast<const signed char*>(at));
  }
}

constexpr Int8Products int8_products() {
  return {kInt8TileRows, int8_tile_bytes, pack_int8_rows, int8_product, pack_int8_strip, unpack_int8_row};
}

}  // namespace
}  // namespace gristmill::runtime::cpu

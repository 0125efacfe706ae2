#pragma once

// Vectors of floats at the width of the instruction set that the including file is compiled for. Only the
// isa_*.cpp files may include this and the *_kernels.hpp beside it: all is in an anonymous namespace and
// nothing here calls inline functions of other headers, because the linker would keep one copy of such a
// function, perhaps one that the machine cannot execute.

#include <cstdint>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#define GRISTMILL_INLINE [[gnu::always_inline]] inline

namespace gristmill::runtime::cpu {
namespace {

#if defined(__AVX512F__)
constexpr int64_t kLanes = 16;
#elif defined(__AVX2__)
constexpr int64_t kLanes = 8;
#else
constexpr int64_t kLanes = 4;
#endif

typedef float Vec __attribute__((vector_size(kLanes * 4)));
typedef int32_t IntVec __attribute__((vector_size(kLanes * 4)));
typedef uint32_t BitVec __attribute__((vector_size(kLanes * 4)));
typedef uint16_t HalfVec __attribute__((vector_size(kLanes * 2)));
typedef float LooseVec __attribute__((vector_size(kLanes * 4), aligned(4), may_alias));
typedef uint16_t LooseHalfVec __attribute__((vector_size(kLanes * 2), aligned(2), may_alias));

GRISTMILL_INLINE Vec load(const float* from) { return *reinterpret_cast<const LooseVec*>(from); }
GRISTMILL_INLINE void store(float* to, Vec value) { *reinterpret_cast<LooseVec*>(to) = value; }
GRISTMILL_INLINE Vec splat(float value) {
#if defined(__AVX512F__)
  return _mm512_set1_ps(value);
#elif defined(__AVX2__)
  return _mm256_set1_ps(value);
#else
  return Vec{value, value, value, value};
#endif
}

// bf16 is the upper half of a float (runtime/bfloat16.hpp), as bits in uint16_t. Rounding is done on
// integers, so that all instruction sets give the same bits, denormals and NaN included.
GRISTMILL_INLINE Vec load(const uint16_t* from) {
  const HalfVec half = *reinterpret_cast<const LooseHalfVec*>(from);
  return reinterpret_cast<Vec>(__builtin_convertvector(half, BitVec) << 16);
}
/// The upper halves hold the nearest bf16; the lower ones are not cleared.
GRISTMILL_INLINE BitVec nearest_half(Vec value) {
  const BitVec bits = reinterpret_cast<BitVec>(value);
  return value == value ? bits + 0x7FFF + ((bits >> 16) & 1) : bits | 0x400000;
}
GRISTMILL_INLINE Vec rounded_to_half(Vec value) {
  return reinterpret_cast<Vec>(nearest_half(value) & 0xFFFF0000);
}
/// A bf16 in each lane.
GRISTMILL_INLINE HalfVec narrowed(Vec value) {
#if defined(__AVX512BF16__)
  // The instruction rounds as we do, but takes denormals for zero.
  constexpr int kDenormal = 0x20;
  if (__builtin_expect(_mm512_fpclass_ps_mask(value, kDenormal) == 0, 1))
    return reinterpret_cast<HalfVec>(_mm512_cvtneps_pbh(value));
#endif
  return __builtin_convertvector(nearest_half(value) >> 16, HalfVec);
}
GRISTMILL_INLINE void store(uint16_t* to, Vec value) {
  *reinterpret_cast<LooseHalfVec*>(to) = narrowed(value);
}

/// a > b ? a : b, so that b wins where one is no number.
GRISTMILL_INLINE Vec larger(Vec a, Vec b) {
#if defined(__AVX512F__)
  return _mm512_maskz_max_ps(0xFFFF, a, b);  // the plain one warns in g++ 12
#elif defined(__AVX2__)
  return _mm256_max_ps(a, b);
#else
  return a > b ? a : b;
#endif
}
GRISTMILL_INLINE Vec smaller(Vec a, Vec b) {
#if defined(__AVX512F__)
  return _mm512_maskz_min_ps(0xFFFF, a, b);
#elif defined(__AVX2__)
  return _mm256_min_ps(a, b);
#else
  return a < b ? a : b;
#endif
}
GRISTMILL_INLINE int64_t lesser(int64_t a, int64_t b) { return a < b ? a : b; }

/// a·b + c: one rounding where the hardware has it, two on the baseline.
GRISTMILL_INLINE Vec fma(Vec a, Vec b, Vec c) {
#if defined(__AVX512F__)
  return _mm512_fmadd_ps(a, b, c);
#elif defined(__AVX2__)
  return _mm256_fmadd_ps(a, b, c);
#else
  return a * b + c;
#endif
}

GRISTMILL_INLINE Vec square_root(Vec x) {
#if defined(__AVX512F__)
  return _mm512_maskz_sqrt_ps(0xFFFF, x);  // the plain one warns in g++ 12
#elif defined(__AVX2__)
  return _mm256_sqrt_ps(x);
#else
  Vec root;
  for (int64_t i = 0; i < kLanes; ++i) root[i] = __builtin_sqrtf(x[i]);
  return root;
#endif
}

/// The first `count` floats (0 < count < kLanes), zero behind.
GRISTMILL_INLINE Vec load_part(const float* from, int64_t count) {
#if defined(__AVX512F__)
  return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1U << count) - 1), from);
#else
  float lanes[kLanes] = {};
  for (int64_t i = 0; i < count; ++i) lanes[i] = from[i];
  return load(lanes);
#endif
}
GRISTMILL_INLINE void store_part(float* to, Vec value, int64_t count) {
#if defined(__AVX512F__)
  _mm512_mask_storeu_ps(to, static_cast<__mmask16>((1U << count) - 1), value);
#else
  float lanes[kLanes];
  store(lanes, value);
  for (int64_t i = 0; i < count; ++i) to[i] = lanes[i];
#endif
}
GRISTMILL_INLINE Vec load_part(const uint16_t* from, int64_t count) {
#if defined(__AVX512F__)
  const auto half = _mm256_maskz_loadu_epi16(static_cast<__mmask16>((1U << count) - 1), from);
  return reinterpret_cast<Vec>(__builtin_convertvector(reinterpret_cast<HalfVec>(half), BitVec) << 16);
#else
  uint16_t lanes[kLanes] = {};
  for (int64_t i = 0; i < count; ++i) lanes[i] = from[i];
  return load(lanes);
#endif
}
GRISTMILL_INLINE void store_part(uint16_t* to, Vec value, int64_t count) {
#if defined(__AVX512F__)
  _mm256_mask_storeu_epi16(to, static_cast<__mmask16>((1U << count) - 1),
                           reinterpret_cast<__m256i>(narrowed(value)));
#else
  uint16_t lanes[kLanes];
  store(lanes, value);
  for (int64_t i = 0; i < count; ++i) to[i] = lanes[i];
#endif
}

/// Sum of the lanes, as a tree of fixed shape.
GRISTMILL_INLINE float sum_lanes(Vec value) {
  float lanes[kLanes];
  store(lanes, value);
  for (int64_t width = kLanes / 2; width > 0; width /= 2) {
    for (int64_t i = 0; i < width; ++i) lanes[i] += lanes[i + width];
  }
  return lanes[0];
}
GRISTMILL_INLINE float largest_lane(Vec value) {
  float lanes[kLanes];
  store(lanes, value);
  float largest = lanes[0];
  for (int64_t i = 1; i < kLanes; ++i) largest = lanes[i] > largest ? lanes[i] : largest;
  return largest;
}

/// Calls body(offset, load, store) for every vector of [0, size), the last one by its part. `body` must treat
/// lanes alike.
template <class Body>
GRISTMILL_INLINE void each_vector(int64_t size, Body body) {
  int64_t i = 0;
  for (; i + kLanes <= size; i += kLanes) {
    body(
        i, [](const auto* from) { return load(from); }, [](auto* to, Vec value) { store(to, value); });
  }
  const int64_t rest = size - i;
  if (rest > 0) {
    body(
        i, [rest](const auto* from) { return load_part(from, rest); },
        [rest](auto* to, Vec value) { store_part(to, value, rest); });
  }
}

/// e^x, relative error below 2e-7: x = n·ln2 + r, a polynomial in r (Cephes expf), and 2^n by two exact
/// products so that results underflow and overflow as they should.
GRISTMILL_INLINE Vec exponential(Vec x) {
  const Vec round = splat(12582912.0F);  // 1.5·2^23: adding it rounds to an integer
  x = smaller(splat(100.0F), larger(splat(-110.0F), x));
  const Vec shifted = fma(x, splat(1.44269504088896341F), round);
  const Vec n = shifted - round;
  Vec r = fma(n, splat(-0.693359375F), x);
  r = fma(n, splat(2.12194440e-4F), r);
  Vec p = splat(1.9875691500e-4F);
  p = fma(p, r, splat(1.3981999507e-3F));
  p = fma(p, r, splat(8.3334519073e-3F));
  p = fma(p, r, splat(4.1665795894e-2F));
  p = fma(p, r, splat(1.6666665459e-1F));
  p = fma(p, r, splat(5.0000001201e-1F));
  p = fma(p, r * r, r) + splat(1.0F);
#if defined(__AVX512F__)
  return _mm512_maskz_scalef_ps(0xFFFF, p, n);
#else
  const IntVec power = reinterpret_cast<IntVec>(shifted) - reinterpret_cast<IntVec>(round);
  const IntVec half = power >> 1;
  const Vec first = reinterpret_cast<Vec>((half + 127) << 23);
  const Vec second = reinterpret_cast<Vec>((power - half + 127) << 23);
  return p * first * second;
#endif
}

GRISTMILL_INLINE Vec sigmoid(Vec x) { return splat(1.0F) / (splat(1.0F) + exponential(-x)); }

}  // namespace
}  // namespace gristmill::runtime::cpu

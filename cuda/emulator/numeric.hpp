#pragma once

// Arithmetic of the GPU's number formats, exact to the last bit and the same on every host.
//
// Everything that needs another rounding than the host's goes through a double that was rounded to odd (Boldo
// and Melquiond 2008): the last bit says whether something was cut off, so that a second rounding, to any
// format of at most 51 bits and in any direction, gives what one rounding of the exact value would.

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "emulator/ptx/type.hpp"

namespace gristmill::emulator {

enum class Rounding : uint8_t { nearest, zero, down, up, away };  ///< away: nearest, ties away from zero

/// The NaN that the GPU's arithmetic gives.
constexpr uint32_t kNan32 = 0x7fffffffu;
inline float canonical(float x) { return x != x ? std::bit_cast<float>(kNan32) : x; }
inline double canonical(double x) { return x != x ? std::bit_cast<double>(uint64_t{0x7ff8000000000000}) : x; }

/// `sum` is the rounded and `error` the exact rest of a sum: the sum rounded to odd.
inline double to_odd(double sum, double error) {
  const auto bits = std::bit_cast<uint64_t>(sum);
  if (error == 0 || (bits & 1) != 0 || !std::isfinite(sum)) return sum;
  return std::bit_cast<double>((error > 0) == (sum > 0) ? bits + 1 : bits - 1);
}

/// a + b rounded to odd (Knuth's TwoSum).
inline double add_to_odd(double a, double b) {
  const double sum = a + b, part = sum - a;
  return to_odd(sum, (a - (sum - part)) + (b - part));
}

/// x rounded to odd.
inline double integer_to_odd(uint64_t x) {
  const int excess = 64 - std::countl_zero(x) - 53;
  if (excess <= 0) return static_cast<double>(x);
  const bool inexact = (x & ((uint64_t{1} << excess) - 1)) != 0;
  return std::ldexp(static_cast<double>((x >> excess) | (inexact ? 1 : 0)), excess);
}

/// A binary format: bits of the exponent and of the stored significand.
struct Format {
  int exponent = 0, significand = 0;
};
constexpr Format kF16 = {5, 10}, kBf16 = {8, 7}, kTf32 = {8, 10}, kF32 = {8, 23};
/// Of a type of which is_half() holds.
constexpr Format half_format(Type type) { return is_brain(type) ? kBf16 : kF16; }

/// The bits of `value` in a format, rounded once. NaN becomes the GPU's: all bits but the sign.
uint32_t encode(double value, Format format, Rounding rounding);

inline float bf16_to_f32(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

inline float f16_to_f32(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16, rest = bits & 0x7fffu;
  if (rest >= 0x7c00u) return std::bit_cast<float>(sign | 0x7f800000u | (rest & 0x3ffu) << 13);
  const float scaled = std::bit_cast<float>(rest << 13) * 0x1p112f;  // also normalises the subnormal ones
  return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(scaled));
}

/// The lower 16 bits as a number of a type of which is_half() holds.
inline float half_to_f32(Type type, uint32_t bits) {
  const auto low = static_cast<uint16_t>(bits);
  return is_brain(type) ? bf16_to_f32(low) : f16_to_f32(low);
}

inline uint16_t f32_to_bf16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const bool nan = (bits & 0x7fffffffu) > 0x7f800000u;
  return static_cast<uint16_t>(nan ? 0x7fffu : (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

inline uint16_t f32_to_f16(float value) {
  return static_cast<uint16_t>(encode(value, kF16, Rounding::nearest));
}

inline float round_f32(double odd, Rounding rounding) {
  if (rounding == Rounding::nearest) return canonical(static_cast<float>(odd));
  return std::bit_cast<float>(encode(odd, kF32, rounding));
}

/// a + b rounded once; a sum that is exactly zero is −0 when rounded down, unless both are +0.
inline float sum_f32(double a, double b, Rounding rounding) {
  const double odd = add_to_odd(a, b);
  const bool negative_zero = odd == 0 && rounding == Rounding::down && (std::signbit(a) || std::signbit(b));
  return negative_zero ? -0.0f : round_f32(odd, rounding);
}

/// Subnormal numbers as zeros of the same sign (.ftz).
inline float flush(float x) {
  return std::fabs(x) < std::numeric_limits<float>::min() ? std::copysign(0.0f, x) : x;
}

/// Into [0, 1]; NaN becomes 0 (.sat).
inline float saturate(float x) { return x > 0 ? (x < 1 ? x : 1.0f) : 0.0f; }

/// The smaller or larger, where a NaN gives way to a number and −0 is smaller than +0.
template <class T>
T minimum(T a, T b) {
  if (a != a || b != b) return a != a ? (b != b ? canonical(a) : b) : a;
  return a < b || (a == b && std::signbit(a)) ? a : b;
}
template <class T>
T maximum(T a, T b) {
  if (a != a || b != b) return a != a ? (b != b ? canonical(a) : b) : a;
  return a > b || (a == b && !std::signbit(a)) ? a : b;
}

}  // namespace gristmill::emulator

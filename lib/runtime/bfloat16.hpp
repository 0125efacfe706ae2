#pragma once

// bfloat16 on the host: the upper half of a float. Rounding is to the nearest, ties to even; a NaN stays one
// (quiet), infinities and denormals are kept.

#include <bit>
#include <cstdint>

namespace gristmill::runtime {

using Bfloat16 = uint16_t;  ///< its bits

constexpr float widened(Bfloat16 bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

constexpr Bfloat16 narrowed(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const bool is_nan = (bits & 0x7FFFFFFFU) > 0x7F800000U;
  const uint32_t rounded = is_nan ? bits | 0x400000U : bits + 0x7FFFU + ((bits >> 16) & 1U);
  return static_cast<Bfloat16>(rounded >> 16);
}

}  // namespace gristmill::runtime

#include "emulator/numeric.hpp"

#include <algorithm>

namespace gristmill::emulator {
namespace {

/// Whether a positive magnitude whose cut-off part is `rest` of 2^`bits` goes up to the next.
bool rounds_up(uint64_t kept, uint64_t rest, int bits, bool negative, Rounding rounding) {
  if (rest == 0) return false;
  const uint64_t half = uint64_t{1} << (bits - 1);
  switch (rounding) {
    case Rounding::nearest:
      return rest > half || (rest == half && (kept & 1) != 0);
    case Rounding::away:
      return rest >= half;
    case Rounding::zero:
      return false;
    case Rounding::down:
      return negative;
    case Rounding::up:
      return !negative;
  }
  return false;
}

}  // namespace

uint32_t encode(double value, Format format, Rounding rounding) {
  const int bits = 1 + format.exponent + format.significand;
  const uint32_t sign = std::signbit(value) ? uint32_t{1} << (bits - 1) : 0;
  const uint32_t infinity = ((uint32_t{1} << format.exponent) - 1) << format.significand;
  const int padding = format.significand == kTf32.significand && format.exponent == kTf32.exponent ? 13 : 0;
  if (std::isnan(value)) return ((uint32_t{1} << (bits - 1)) - 1) << padding | (padding > 0 ? 0x1fffu : 0);
  if (std::isinf(value)) return (sign | infinity) << padding;
  if (value == 0) return sign << padding;
  const int bias = (1 << (format.exponent - 1)) - 1;
  const auto raw = std::bit_cast<uint64_t>(value) & ~(uint64_t{1} << 63);
  const int double_exponent = static_cast<int>(raw >> 52);
  const int exponent = std::max(double_exponent, 1) - 1023 + bias;  // in the format, before subnormals
  uint64_t magnitude = (raw & ((uint64_t{1} << 52) - 1)) | (double_exponent > 0 ? uint64_t{1} << 52 : 0);
  const int cut = std::min(52 - format.significand + (exponent < 1 ? 1 - exponent : 0), 54);
  const uint64_t rest = cut >= 54 ? 1 : magnitude & ((uint64_t{1} << cut) - 1);
  uint64_t kept = cut >= 54 ? 0 : magnitude >> cut;
  kept += rounds_up(kept, rest, cut, sign != 0, rounding) ? 1 : 0;
  uint64_t result = exponent < 1 ? kept : kept + (static_cast<uint64_t>(exponent - 1) << format.significand);
  if (exponent > 0 && result >= infinity) {
    const bool to_infinity = rounding == Rounding::nearest || rounding == Rounding::away ||
                             rounding == (sign != 0 ? Rounding::down : Rounding::up);
    result = to_infinity ? infinity : infinity - 1;
  }
  return (sign | static_cast<uint32_t>(result)) << padding;
}

}  // namespace gristmill::emulator

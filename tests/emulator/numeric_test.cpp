// Rounding, against the host's own and against a search for the neighbours.
#include "device.hpp"

using namespace gristmill;
using namespace gristmill::emulator;

namespace {

double value(uint32_t bits, Format format) {
  return format.exponent == 5 ? f16_to_f32(static_cast<uint16_t>(bits))
                              : bf16_to_f32(static_cast<uint16_t>(bits));
}

/// What rounding in a direction must give: the neighbour on the right side, found by stepping through the
/// format.
bool right_side(double exact, double rounded, double below, double above, Rounding rounding) {
  if (rounded == exact) return true;
  switch (rounding) {
    case Rounding::down:
      return rounded < exact && exact < above;
    case Rounding::up:
      return rounded > exact && exact > below;
    case Rounding::zero:
      return exact > 0 ? rounded < exact && exact < above : rounded > exact && exact > below;
    default:
      return std::fabs(rounded - exact) <= std::fabs((rounded < exact ? above : below) - exact);
  }
}

}  // namespace

TEST_CASE("every number of 16 bits survives its way through f32 and back", "[emulator]") {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float half = f16_to_f32(static_cast<uint16_t>(bits)),
                brain = bf16_to_f32(static_cast<uint16_t>(bits));
    const bool half_nan = (bits & 0x7fff) > 0x7c00, brain_nan = (bits & 0x7fff) > 0x7f80;
    if (f32_to_f16(half) != (half_nan ? 0x7fff : bits)) FAIL("f16 " << bits);
    if (f32_to_bf16(brain) != (brain_nan ? 0x7fff : bits)) FAIL("bf16 " << bits);
    if (encode(brain, kBf16, Rounding::up) != (brain_nan ? 0x7fff : bits)) FAIL("bf16 exactly " << bits);
  }
  SUCCEED();
}

TEST_CASE("rounding to f32 and bf16 is the host's, and in other directions takes the right neighbour",
          "[emulator]") {
  Rng rng(11, stream_of(RandomStream::test));
  for (int i = 0; i < 20000; ++i) {
    const double exact = std::ldexp(rng.normal(), static_cast<int>(rng.below(320)) - 160);
    const auto host = static_cast<float>(exact);
    if (encode(exact, kF32, Rounding::nearest) != std::bit_cast<uint32_t>(host)) FAIL("f32 " << exact);
    if (encode(host, kBf16, Rounding::nearest) != f32_to_bf16(host)) FAIL("bf16 " << host);
    for (const Format format : {kF16, kBf16}) {
      const double narrow =
          format.exponent == 5 ? std::ldexp(rng.normal(), static_cast<int>(rng.below(40)) - 25) : exact;
      for (const Rounding rounding : {Rounding::nearest, Rounding::zero, Rounding::down, Rounding::up}) {
        const uint32_t bits = encode(narrow, format, rounding);
        const double rounded = value(bits, format);
        if (!std::isfinite(rounded) || (bits & 0x7fff) == 0) continue;
        const bool negative = (bits & 0x8000) != 0;
        const double larger = value(bits + 1, format), smaller = value(bits - 1, format);
        if (!right_side(narrow, rounded, negative ? larger : smaller, negative ? smaller : larger,
                        rounding)) {
          FAIL("value " << narrow << " rounded to " << rounded << " in direction "
                        << static_cast<int>(rounding));
        }
      }
    }
  }
  SUCCEED();
}

TEST_CASE("sums and products are rounded once although they go through doubles", "[emulator]") {
  Rng rng(12, stream_of(RandomStream::test));
  const auto any = [&] {
    const auto bits = static_cast<uint32_t>(rng.bits());
    return std::bit_cast<float>((bits & 0x807fffffu) | (96 + static_cast<uint32_t>(rng.below(64))) << 23);
  };
  for (int i = 0; i < 50000; ++i) {
    const float a = any(), b = any(), c = any();
    const double product = static_cast<double>(a) * b;
    if (round_f32(add_to_odd(product, c), Rounding::nearest) != std::fma(a, b, c))
      FAIL("fma " << a << " " << b << " " << c);
    const float down = round_f32(add_to_odd(product, c), Rounding::down),
                up = round_f32(add_to_odd(product, c), Rounding::up);
    const float nearest = std::fma(a, b, c);
    if (!(down <= nearest && nearest <= up && up <= std::nextafter(down, 2 * std::fabs(up) + 1)))
      FAIL("directions of " << a << " " << b << " " << c);
    const uint64_t integer = rng.bits() >> rng.below(64);
    if (static_cast<float>(integer_to_odd(integer)) != static_cast<float>(integer))
      FAIL("integer " << integer);
  }
  SUCCEED();
}

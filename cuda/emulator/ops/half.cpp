// Arithmetic of f16, bf16 and pairs. Sums and products go through f32: it has more than twice the bits, so
// that rounding twice gives what rounding once does (Figueroa 1995); a fused product and sum goes through a
// double rounded to odd.

#include <limits>
#include <type_traits>

#include "emulator/numeric.hpp"
#include "emulator/ops/arithmetic.hpp"
#include "emulator/ops/lanes.hpp"

namespace gristmill::emulator {
namespace {

template <Arithmetic kOp, Type kType>
uint32_t apply(uint32_t a, uint32_t b, uint32_t c, const Instruction& in) {
  if constexpr (kOp == Arithmetic::neg) return (a ^ 0x8000u) & 0xffffu;
  if constexpr (kOp == Arithmetic::abs) return a & 0x7fffu;
  const float x = half_to_f32(kType, a), y = half_to_f32(kType, b);
  double result = 0;
  if constexpr (kOp == Arithmetic::add) result = x + y;
  if constexpr (kOp == Arithmetic::sub) result = x - y;
  if constexpr (kOp == Arithmetic::mul) result = x * y;
  if constexpr (kOp == Arithmetic::min) result = minimum(x, y);
  if constexpr (kOp == Arithmetic::max) result = maximum(x, y);
  if constexpr (kOp == Arithmetic::fma)
    result = add_to_odd(static_cast<double>(x) * y, half_to_f32(kType, c));
  if (in.keeps_nan && (x != x || y != y)) result = std::numeric_limits<double>::quiet_NaN();
  if (in.saturate) result = result > 0 ? (result < 1 ? result : 1) : 0;
  if (in.relu) result = result > 0 || result != result ? result : 0;
  return encode(result, half_format(kType), Rounding::nearest);
}

template <Arithmetic kOp, Type kType>
void run(Warp& warp, const Instruction& in, uint32_t mask) {
  using T = std::conditional_t<bits_of(kType) == 16, uint16_t, uint32_t>;
  const Sources from(warp, in);
  only_lanes<T>(warp.at(in.dst), mask, [&](size_t i) {
    const uint32_t a = get<T>(from.a, i), b = get<T>(from.b, i), c = get<T>(from.c, i);
    uint32_t result = apply<kOp, kType>(a, b, c, in);
    if constexpr (sizeof(T) == 4) result |= apply<kOp, kType>(a >> 16, b >> 16, c >> 16, in) << 16;
    return static_cast<T>(result);
  });
}

template <Arithmetic kOp>
Handler by_type(Type type) {
  switch (type) {
    case Type::f16:
      return run<kOp, Type::f16>;
    case Type::bf16:
      return run<kOp, Type::bf16>;
    case Type::f16x2:
      return run<kOp, Type::f16x2>;
    case Type::bf16x2:
      return run<kOp, Type::bf16x2>;
    default:
      return nullptr;
  }
}

}  // namespace

Handler half_arithmetic(Arithmetic operation, Type type) {
  switch (operation) {
    case Arithmetic::add:
      return by_type<Arithmetic::add>(type);
    case Arithmetic::sub:
      return by_type<Arithmetic::sub>(type);
    case Arithmetic::mul:
      return by_type<Arithmetic::mul>(type);
    case Arithmetic::fma:
      return by_type<Arithmetic::fma>(type);
    case Arithmetic::min:
      return by_type<Arithmetic::min>(type);
    case Arithmetic::max:
      return by_type<Arithmetic::max>(type);
    case Arithmetic::neg:
      return by_type<Arithmetic::neg>(type);
    case Arithmetic::abs:
      return by_type<Arithmetic::abs>(type);
    default:
      return nullptr;
  }
}

}  // namespace gristmill::emulator

// Arithmetic of f16, bf16 and pairs. Sums and products go through f32: it has more than twice the bits, so
// that rounding twice gives what rounding once does (Figueroa 1995); a fused product and sum goes through a
// double rounded to odd.

#include <limits>

#include "emulator/numeric.hpp"
#include "emulator/ops/arithmetic.hpp"
#include "emulator/ops/lanes.hpp"

namespace gristmill::emulator {
namespace {

struct Half {
  static float decode(uint16_t bits) { return f16_to_f32(bits); }
  static uint16_t encode(float value) { return f32_to_f16(value); }
  static constexpr Format kFormat = kF16;
};
struct Brain {
  static float decode(uint16_t bits) { return bf16_to_f32(bits); }
  static uint16_t encode(float value) { return f32_to_bf16(value); }
  static constexpr Format kFormat = kBf16;
};

template <Arithmetic kOp, class Number>
uint16_t apply(uint16_t a, uint16_t b, uint16_t c, const Instruction& in) {
  if constexpr (kOp == Arithmetic::neg) return static_cast<uint16_t>(a ^ 0x8000u);
  if constexpr (kOp == Arithmetic::abs) return static_cast<uint16_t>(a & 0x7fffu);
  const float x = Number::decode(a), y = Number::decode(b);
  double result = 0;
  if constexpr (kOp == Arithmetic::add) result = x + y;
  if constexpr (kOp == Arithmetic::sub) result = x - y;
  if constexpr (kOp == Arithmetic::mul) result = x * y;
  if constexpr (kOp == Arithmetic::min) result = minimum(x, y);
  if constexpr (kOp == Arithmetic::max) result = maximum(x, y);
  if constexpr (kOp == Arithmetic::fma) result = add_to_odd(static_cast<double>(x) * y, Number::decode(c));
  if (in.keeps_nan && (x != x || y != y)) result = std::numeric_limits<double>::quiet_NaN();
  if (in.saturate) result = result > 0 ? (result < 1 ? result : 1) : 0;
  if (in.relu) result = result > 0 || result != result ? result : 0;
  return static_cast<uint16_t>(emulator::encode(result, Number::kFormat, Rounding::nearest));
}

template <Arithmetic kOp, class Number, class T>
void run(Warp& warp, const Instruction& in, uint32_t mask) {
  const std::byte* a = warp.at(in.src[0]);
  const std::byte* b = in.src[1] == kNone ? a : warp.at(in.src[1]);
  const std::byte* c = in.src[2] == kNone ? a : warp.at(in.src[2]);
  only_lanes<T>(warp.at(in.dst), mask, [&](size_t i) {
    const uint32_t x = get<T>(a, i), y = get<T>(b, i), z = get<T>(c, i);
    const auto low = [](uint32_t bits) { return static_cast<uint16_t>(bits); };
    const uint32_t result = apply<kOp, Number>(low(x), low(y), low(z), in);
    if constexpr (sizeof(T) == 2) return static_cast<T>(result);
    const uint32_t upper = apply<kOp, Number>(low(x >> 16), low(y >> 16), low(z >> 16), in);
    return static_cast<T>(result | upper << 16);
  });
}

template <Arithmetic kOp>
Handler by_type(Type type) {
  switch (type) {
    case Type::f16:
      return run<kOp, Half, uint16_t>;
    case Type::bf16:
      return run<kOp, Brain, uint16_t>;
    case Type::f16x2:
      return run<kOp, Half, uint32_t>;
    case Type::bf16x2:
      return run<kOp, Brain, uint32_t>;
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

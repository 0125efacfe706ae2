// Arithmetic of f32 and f64: IEEE 754, rounded once, with the GPU's NaN.

#include "emulator/numeric.hpp"
#include "emulator/ops/arithmetic.hpp"
#include "emulator/ops/lanes.hpp"

namespace gristmill::emulator {
namespace {

/// To nearest, which is what the host does.
template <Arithmetic kOp, class T>
T apply(T a, T b, T c) {
  if constexpr (kOp == Arithmetic::add) return canonical(a + b);
  if constexpr (kOp == Arithmetic::sub) return canonical(a - b);
  if constexpr (kOp == Arithmetic::mul) return canonical(a * b);
  if constexpr (kOp == Arithmetic::div) return canonical(a / b);
  if constexpr (kOp == Arithmetic::fma) return canonical(std::fma(a, b, c));
  if constexpr (kOp == Arithmetic::min) return minimum(a, b);
  if constexpr (kOp == Arithmetic::max) return maximum(a, b);
  if constexpr (kOp == Arithmetic::neg) return -a;
  if constexpr (kOp == Arithmetic::abs) return std::fabs(a);
}

/// In any direction: exact products and sums of f32 fit two doubles.
template <Arithmetic kOp>
float apply_rounded(float a, float b, float c, Rounding rounding) {
  if constexpr (kOp == Arithmetic::add) return sum_f32(a, b, rounding);
  if constexpr (kOp == Arithmetic::sub) return sum_f32(a, -static_cast<double>(b), rounding);
  if constexpr (kOp == Arithmetic::mul) return round_f32(static_cast<double>(a) * b, rounding);
  if constexpr (kOp == Arithmetic::fma) return sum_f32(static_cast<double>(a) * b, c, rounding);
  return apply<kOp>(a, b, c);
}

template <Arithmetic kOp, class T>
void run(Warp& warp, const Instruction& in, uint32_t mask) {
  each_of_three<T>(warp, in, mask, [](T a, T b, T c) { return apply<kOp, T>(a, b, c); });
}

template <Arithmetic kOp>
void run_modified(Warp& warp, const Instruction& in, uint32_t mask) {
  const Sources from(warp, in);
  const auto input = [&](const std::byte* reg, size_t i) {
    return in.flush ? flush(get<float>(reg, i)) : get<float>(reg, i);
  };
  only_lanes<float>(warp.at(in.dst), mask, [&](size_t i) {
    const float x = input(from.a, i), y = input(from.b, i);
    float result = apply_rounded<kOp>(x, y, input(from.c, i), in.rounding);
    if (in.keeps_nan && (std::isnan(x) || std::isnan(y))) result = std::bit_cast<float>(kNan32);
    if (in.flush) result = flush(result);
    return in.saturate ? saturate(result) : result;
  });
}

template <Arithmetic kOp>
Handler handler(Type type, bool exact) {
  if (type == Type::f64) return run<kOp, double>;
  return exact ? run<kOp, float> : run_modified<kOp>;
}

}  // namespace

Handler float_arithmetic(Arithmetic operation, Type type, bool exact) {
  switch (operation) {
    case Arithmetic::add:
      return handler<Arithmetic::add>(type, exact);
    case Arithmetic::sub:
      return handler<Arithmetic::sub>(type, exact);
    case Arithmetic::mul:
      return handler<Arithmetic::mul>(type, exact);
    case Arithmetic::div:
      return handler<Arithmetic::div>(type, exact);
    case Arithmetic::fma:
      return handler<Arithmetic::fma>(type, exact);
    case Arithmetic::min:
      return handler<Arithmetic::min>(type, exact);
    case Arithmetic::max:
      return handler<Arithmetic::max>(type, exact);
    case Arithmetic::neg:
      return handler<Arithmetic::neg>(type, exact);
    case Arithmetic::abs:
      return handler<Arithmetic::abs>(type, exact);
    default:
      return nullptr;
  }
}

}  // namespace gristmill::emulator

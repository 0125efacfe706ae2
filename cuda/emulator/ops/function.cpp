// ex2, lg2, rcp, rsqrt, sqrt, sin, cos, tanh. Hardware computes most of them approximately, within an error
// that the PTX manual states. Here they are computed in double precision and rounded once: inside that error,
// and the same on every host but for the rare case in which two mathematical libraries differ by half an ulp
// of a float.

#include <cmath>

#include "emulator/numeric.hpp"
#include "emulator/ops/arithmetic.hpp"
#include "emulator/ops/lanes.hpp"

namespace gristmill::emulator {
namespace {

template <Function kFunction>
double apply(double x) {
  if constexpr (kFunction == Function::ex2) return std::exp2(x);
  if constexpr (kFunction == Function::lg2) return std::log2(x);
  if constexpr (kFunction == Function::rcp) return 1 / x;
  if constexpr (kFunction == Function::rsqrt) return 1 / std::sqrt(x);
  if constexpr (kFunction == Function::sqrt) return std::sqrt(x);
  if constexpr (kFunction == Function::sin) return std::sin(x);
  if constexpr (kFunction == Function::cos) return std::cos(x);
  if constexpr (kFunction == Function::tanh) return std::tanh(x);
}

template <Function kFunction>
void run_f32(Warp& warp, const Instruction& in, uint32_t mask) {
  const std::byte* a = warp.at(in.src[0]);
  only_lanes<float>(warp.at(in.dst), mask, [&](size_t i) {
    const float x = in.flush ? flush(get<float>(a, i)) : get<float>(a, i);
    const float result = canonical(static_cast<float>(apply<kFunction>(x)));
    return in.flush ? flush(result) : result;
  });
}

template <Function kFunction>
void run_f64(Warp& warp, const Instruction& in, uint32_t mask) {
  const std::byte* a = warp.at(in.src[0]);
  only_lanes<double>(warp.at(in.dst), mask,
                     [&](size_t i) { return canonical(apply<kFunction>(get<double>(a, i))); });
}

/// One or two numbers of 16 bits.
template <Function kFunction>
void run_half(Warp& warp, const Instruction& in, uint32_t mask) {
  const auto one = [&](uint32_t bits) {
    return encode(apply<kFunction>(half_to_f32(in.type, bits)), half_format(in.type), Rounding::nearest);
  };
  const std::byte* a = warp.at(in.src[0]);
  if (bits_of(in.type) == 16) {
    only_lanes<uint16_t>(warp.at(in.dst), mask,
                         [&](size_t i) { return static_cast<uint16_t>(one(get<uint16_t>(a, i))); });
  } else {
    only_lanes<uint32_t>(warp.at(in.dst), mask, [&](size_t i) {
      const auto pair = get<uint32_t>(a, i);
      return one(pair) | one(pair >> 16) << 16;
    });
  }
}

template <Function kFunction>
Handler by_type(Type type) {
  if (type == Type::f32) return run_f32<kFunction>;
  if (type == Type::f64) return run_f64<kFunction>;
  return is_half(type) && (kFunction == Function::ex2 || kFunction == Function::tanh) ? run_half<kFunction>
                                                                                      : nullptr;
}

}  // namespace

Handler function_handler(Function function, Type type) {
  switch (function) {
    case Function::ex2:
      return by_type<Function::ex2>(type);
    case Function::lg2:
      return by_type<Function::lg2>(type);
    case Function::rcp:
      return by_type<Function::rcp>(type);
    case Function::rsqrt:
      return by_type<Function::rsqrt>(type);
    case Function::sqrt:
      return by_type<Function::sqrt>(type);
    case Function::sin:
      return by_type<Function::sin>(type);
    case Function::cos:
      return by_type<Function::cos>(type);
    case Function::tanh:
      return by_type<Function::tanh>(type);
  }
  return nullptr;
}

}  // namespace gristmill::emulator

#pragma once

// The handlers of arithmetic, by number format.

#include "emulator/instruction.hpp"

namespace gristmill::emulator {

enum class Arithmetic : uint8_t {
  add,
  sub,
  mul,
  mul_hi,
  mul_wide,
  mad,
  mad_hi,
  mad_wide,
  fma,
  div,
  rem,
  min,
  max,
  neg,
  abs
};

/// Integers of 16, 32 and 64 bits; null where PTX has no such operation.
Handler integer_arithmetic(Arithmetic operation, Type type);
/// f32 and f64. `exact`: round to nearest without .ftz and .sat, for which there is a faster handler.
Handler float_arithmetic(Arithmetic operation, Type type, bool exact);
/// f16, bf16, and pairs of them.
Handler half_arithmetic(Arithmetic operation, Type type);

enum class Function : uint8_t { ex2, lg2, rcp, rsqrt, sqrt, sin, cos, tanh };
Handler function_handler(Function function, Type type);

}  // namespace gristmill::emulator

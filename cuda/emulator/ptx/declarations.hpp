#pragma once

// Declarations of variables and parameters, and the values written in a PTX text.

#include <cstdint>
#include <vector>

#include "emulator/ptx/cursor.hpp"
#include "emulator/ptx/syntax.hpp"

namespace gristmill::emulator {

constexpr uint64_t kLargestVariable = uint64_t{1} << 30;

/// The variables of a declaration behind its state space: ".align 4 .f32 name[2][3] = {…}, other;".
std::vector<Variable> parse_variables(Cursor& cursor, Space space, bool is_extern);

/// The list of a kernel's parameters, with its parentheses; nothing if there is none.
std::vector<Variable> parse_parameters(Cursor& cursor);

/// A number, with its sign, as bits of 64: integers in two's complement, 0f… in the lower 32.
struct Literal {
  uint64_t bits = 0;
  bool is_float = false;
  bool is_double = false;
};
Literal parse_literal(Cursor& cursor);

}  // namespace gristmill::emulator

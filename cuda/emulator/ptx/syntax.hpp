#pragma once

// What the parser makes of a PTX text: names are resolved to registers and labels to statements; what an
// instruction means is not looked at yet.

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "emulator/ptx/type.hpp"

namespace gristmill::emulator {

constexpr uint32_t kNoRegister = UINT32_MAX;
constexpr uint64_t kMostRegisters = 1 << 20;     ///< of a kernel
constexpr uint64_t kMostParameterBytes = 32764;  ///< of a kernel, for sm_70 and later

struct Operand {
  enum class Form : uint8_t { reg, immediate, symbol, special, address, vector, label };
  Form form = Form::immediate;
  bool negated = false;           ///< "!%p1"
  uint32_t reg = kNoRegister;     ///< also an address's base
  uint32_t second = kNoRegister;  ///< of "%p1|%p2"
  uint64_t value = 0;             ///< an immediate's bits, an address's offset, a label's statement or table
  bool is_float = false, is_double = false;  ///< an immediate written as 0f… (32 bits) or 0d… (64 bits)
  std::string_view name;                     ///< a symbol (also an address's base), a special register
  std::vector<Operand> parts;                ///< of a vector
};

struct Statement {
  uint32_t line = 0;
  uint32_t guard = kNoRegister;
  bool guard_negated = false;
  std::string_view opcode;                  ///< "ld" of "ld.global.f32"
  std::vector<std::string_view> modifiers;  ///< "global", "f32"
  std::vector<Operand> operands;
  std::string_view source;  ///< from its guard or name up to the semicolon
  std::string text;         ///< the source with single blanks, cut at 200 characters
};

enum class Space : uint8_t { generic, global, constant, shared, local, param };

/// A variable or a parameter of a kernel.
struct Variable {
  std::string_view name;
  Space space = Space::generic;
  Type type = Type::none;
  uint32_t alignment = 0;
  uint64_t size = 0;     ///< bytes
  bool dynamic = false;  ///< extern and without a size: shared memory that the launch sizes
  std::string initial;   ///< bytes of the initialiser; empty for none
  uint32_t line = 0;
};

struct EntrySyntax {
  std::string_view name;
  std::vector<Variable> parameters;
  std::vector<Variable> variables;  ///< declared in the body
  std::vector<Type> registers;      ///< by number
  std::vector<Statement> statements;
  std::vector<std::vector<uint32_t>> tables;        ///< of .branchtargets: statements
  std::array<uint32_t, 3> max_threads = {0, 0, 0};  ///< .maxntid or .reqntid; 0 for none
  bool exact_threads = false;                       ///< .reqntid
  uint32_t line = 0;
};

struct ModuleSyntax {
  std::vector<Variable> variables;
  std::vector<EntrySyntax> entries;
};

/// Parses a PTX text. The result refers into `source`. Error{input} names the line.
ModuleSyntax parse_ptx(std::string_view source);

}  // namespace gristmill::emulator

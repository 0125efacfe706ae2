#pragma once

// A kernel under construction: its operands are numbers of values, not yet places in the register file.

#include <cstdint>
#include <map>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "emulator/instruction.hpp"
#include "emulator/ptx/syntax.hpp"

namespace gristmill::emulator {

/// Values are numbered: first the declared registers, then immediates and special registers as they occur.
struct Draft {
  static constexpr uint32_t kDefinition = uint32_t{1} << 31;

  struct Symbol {
    Space space = Space::generic;
    uint64_t address = 0;
  };
  using Symbols = std::unordered_map<std::string_view, Symbol>;

  /// `globals` are the names of the module, which all its kernels share.
  Draft(const std::vector<Type>& registers, const Symbols& globals);
  /// What a name stands for, that of the kernel before that of the module; null if it is not declared.
  const Symbol* find_symbol(std::string_view name) const;
  /// The value of an immediate of 1 (predicate), 16, 32 or 64 bits.
  uint32_t constant(uint32_t bits, uint64_t value);
  uint32_t special(Special special, uint32_t bits);
  /// The value in which results go that nobody reads ("_").
  uint32_t sink(uint32_t bits);

  Kernel kernel;
  std::vector<uint8_t> bits;           ///< width of each value
  uint32_t registers = 0;              ///< values below are registers
  std::vector<uint32_t> accesses;      ///< values that instructions use; with kDefinition those they write
  std::vector<uint32_t> first_access;  ///< of each instruction; one more at the end
  Symbols symbols;                     ///< of the kernel

 private:
  uint32_t add(uint32_t width);
  const Symbols& globals_;
  std::map<std::pair<uint32_t, uint64_t>, uint32_t> constants_;
  std::map<std::pair<Special, uint32_t>, uint32_t> specials_;
  std::map<uint32_t, uint32_t> sinks_;
};

/// Puts values in places of the register file (linear scan over live ranges: registers of PTX are written
/// once, so that there are many, and a small file stays in the cache), and writes the places into the
/// instructions. Error{input} if the file would be too large or the ranges too many to find.
void place_values(Draft& draft);

}  // namespace gristmill::emulator

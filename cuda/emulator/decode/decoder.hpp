#pragma once

// One statement on its way to an instruction: hands out modifiers and operands, checked, and refuses what is
// left over.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "emulator/decode/draft.hpp"

namespace gristmill::emulator {

class Decoder {
 public:
  Decoder(Draft& draft, const Statement& statement);

  Instruction in;

  /// Takes a modifier wherever it stands; false if it is not there.
  bool take(std::string_view modifier);
  /// Takes the last modifier, which must be a type.
  Type take_type();
  /// The last modifier's type without taking it; none if it is no type.
  Type last_type() const;
  /// Takes the first of these that is there; its number, or nothing.
  template <size_t kCount>
  std::optional<uint8_t> take_one(const std::string_view (&names)[kCount]) {
    for (size_t i = 0; i < kCount; ++i) {
      if (take(names[i])) return static_cast<uint8_t>(i);
    }
    return std::nullopt;
  }
  /// Rounding of .rn .rz .rm .rp or, for integers, .rni .rzi .rmi .rpi.
  std::optional<Rounding> take_rounding(bool to_integer = false);

  size_t operands() const { return statement_.operands.size(); }
  const Operand& operand(size_t index) const;
  void expect_operands(size_t least, size_t most) const;

  /// Operand as a result or a value of `bits` bits (1: a predicate).
  uint32_t result(size_t index, uint32_t bits) { return result(operand(index), bits); }
  uint32_t result(const Operand& operand, uint32_t bits);
  uint32_t value(size_t index, uint32_t bits) { return value(operand(index), bits); }
  uint32_t value(const Operand& operand, uint32_t bits);
  /// A predicate; in.source_negated tells whether it is negated.
  uint32_t predicate(size_t index);
  /// The predicate behind "|" of a result; kNone if there is none.
  uint32_t second_predicate(size_t index);
  /// A result or value whose register may be wider than `type`, as loads, stores and conversions allow.
  uint32_t wide_result(const Operand& operand, Type type, uint32_t& bits);
  uint32_t wide_value(const Operand& operand, Type type, uint32_t& bits);
  /// An immediate integer.
  uint64_t constant(size_t index) const;
  /// "[…]": in.src[slot] is the base, in.immediate the offset, in.target whether the base has 32 bits.
  void address(size_t index, size_t slot = 0);
  /// The elements of "{…}" (or a single operand as one), for in.vectors; all of `bits` bits.
  void vector_results(size_t index, size_t count, uint32_t bits);
  void vector_values(size_t index, size_t count, uint32_t bits);
  /// The width of an operand that is a register; 0 for any other.
  uint32_t bits_of_register(const Operand& operand) const;
  /// The state space; nothing where none is named, which means a generic address.
  std::optional<Space> take_space();

  /// Adds the instruction to the draft; a modifier that nobody took is refused.
  void finish();
  [[noreturn]] void refuse(std::string_view why) const;

  void note_access(uint32_t value) { draft_.accesses.push_back(value); }
  void begin_vectors() { in.vectors = static_cast<uint32_t>(draft_.kernel.vectors.size()); }
  void push_vector(uint32_t value) { draft_.kernel.vectors.push_back(value); }
  /// Zeros of 32 bits as elements of a vector.
  void push_zeros(size_t count) {
    for (size_t i = 0; i < count; ++i) push_vector(draft_.constant(32, 0));
  }
  Kernel& kernel() { return draft_.kernel; }

 private:
  uint32_t register_of(const Operand& operand, uint32_t bits) const;
  const Draft::Symbol& symbol(std::string_view name) const;
  std::span<const Operand> elements(size_t index, size_t count) const;
  uint64_t immediate_bits(const Operand& operand, uint32_t bits) const;
  uint32_t special_value(const Operand& operand, uint32_t bits);

  Draft& draft_;
  const Statement& statement_;
  std::vector<std::string_view> rest_;
};

}  // namespace gristmill::emulator

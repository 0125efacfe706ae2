#include "emulator/decode/decoder.hpp"

#include <algorithm>
#include <array>
#include <bit>

#include "base/error.hpp"
#include "base/str.hpp"

namespace gristmill::emulator {
namespace {

constexpr std::array<std::string_view, 28> kSpecials = {
    "%tid.x",           "%tid.y",       "%tid.z",       "%ntid.x",      "%ntid.y",      "%ntid.z",
    "%ctaid.x",         "%ctaid.y",     "%ctaid.z",     "%nctaid.x",    "%nctaid.y",    "%nctaid.z",
    "%laneid",          "%warpid",      "%nwarpid",     "%smid",        "%nsmid",       "%gridid",
    "%lanemask_eq",     "%lanemask_lt", "%lanemask_le", "%lanemask_gt", "%lanemask_ge", "%dynamic_smem_size",
    "%total_smem_size", "%clock",       "%clock64",     "%globaltimer"};

}  // namespace

Decoder::Decoder(Draft& draft, const Statement& statement)
    : draft_(draft), statement_(statement), rest_(statement.modifiers) {
  in.guard = statement.guard;
  in.guard_negated = statement.guard_negated;
  if (in.guard != kNoRegister) note_access(in.guard);
}

bool Decoder::take(std::string_view modifier) {
  const auto found = std::find(rest_.begin(), rest_.end(), modifier);
  if (found == rest_.end()) return false;
  rest_.erase(found);
  return true;
}

Type Decoder::last_type() const { return rest_.empty() ? Type::none : parse_type(rest_.back()); }

Type Decoder::take_type() {
  const Type type = last_type();
  if (type == Type::none) refuse("a type is missing");
  rest_.pop_back();
  return type;
}

std::optional<Rounding> Decoder::take_rounding(bool to_integer) {
  const std::string_view names[] = {"rn", "rz", "rm", "rp", "rna"},
                         integer_names[] = {"rni", "rzi", "rmi", "rpi"};
  const auto found = to_integer ? take_one(integer_names) : take_one(names);
  if (!found.has_value()) return std::nullopt;
  return static_cast<Rounding>(*found);
}

std::optional<Space> Decoder::take_space() {
  const std::string_view names[] = {"global", "const", "shared", "local", "param"};
  if (take("shared::cta")) return Space::shared;
  const auto space = take_one(names);
  if (!space.has_value()) return std::nullopt;
  return static_cast<Space>(*space + 1);
}

const Operand& Decoder::operand(size_t index) const {
  if (index >= statement_.operands.size()) refuse("an operand is missing");
  return statement_.operands[index];
}

void Decoder::expect_operands(size_t least, size_t most) const {
  if (operands() < least || operands() > most)
    refuse(str(operands(), " operands, expected ", least == most ? "" : "up to ", most));
}

uint32_t Decoder::register_of(const Operand& operand, uint32_t bits) const {
  if (draft_.bits[operand.reg] != bits) {
    refuse(str("register ", operand.name, " has ", int{draft_.bits[operand.reg]},
               " bits, the instruction takes ", bits));
  }
  return operand.reg;
}

uint32_t Decoder::result(const Operand& operand, uint32_t bits) {
  if (operand.form == Operand::Form::symbol && operand.name == "_") {
    const uint32_t sink = draft_.sink(bits);
    note_access(sink | Draft::kDefinition);
    return sink;
  }
  if (operand.form != Operand::Form::reg || operand.negated) refuse("the result must be a register");
  const uint32_t value = register_of(operand, bits);
  note_access(value | Draft::kDefinition);
  return value;
}

const Draft::Symbol& Decoder::symbol(std::string_view name) const {
  const Draft::Symbol* found = draft_.find_symbol(name);
  if (found == nullptr) refuse(str("name ", in_quotes(name), " is not declared"));
  return *found;
}

uint64_t Decoder::immediate_bits(const Operand& operand, uint32_t bits) const {
  if (!operand.is_float) return bits == 1 && operand.value != 0 ? 1 : operand.value;
  if (bits == (operand.is_double ? 64 : 32)) return operand.value;
  if (bits == 32) return std::bit_cast<uint32_t>(static_cast<float>(std::bit_cast<double>(operand.value)));
  if (bits == 64) {
    return std::bit_cast<uint64_t>(
        static_cast<double>(std::bit_cast<float>(static_cast<uint32_t>(operand.value))));
  }
  refuse("a floating-point number where none can stand");
}

uint32_t Decoder::special_value(const Operand& operand, uint32_t bits) {
  const auto found = std::find(kSpecials.begin(), kSpecials.end(), operand.name);
  if (found == kSpecials.end())
    refuse(str("register ", in_quotes(operand.name), " is not declared or not supported"));
  return draft_.special(static_cast<Special>(found - kSpecials.begin()), bits);
}

uint32_t Decoder::value(const Operand& operand, uint32_t bits) {
  if (operand.negated) refuse("a value cannot be negated here");
  uint32_t value = 0;
  switch (operand.form) {
    case Operand::Form::reg:
      if (operand.second != kNoRegister) refuse("two registers where one value stands");
      value = register_of(operand, bits);
      break;
    case Operand::Form::immediate:
      value = draft_.constant(bits, immediate_bits(operand, bits));
      break;
    case Operand::Form::special:
      if (bits == 1) refuse("a special register is no predicate");
      value = special_value(operand, bits);
      break;
    case Operand::Form::symbol:
      value = draft_.constant(bits, symbol(operand.name).address + operand.value);
      break;
    default:
      refuse("an operand of this form cannot stand here");
  }
  note_access(value);
  return value;
}

uint32_t Decoder::predicate(size_t index) {
  Operand operand = this->operand(index);
  in.source_negated = operand.negated;
  operand.negated = false;
  return value(operand, 1);
}

uint32_t Decoder::second_predicate(size_t index) {
  const uint32_t value = operand(index).second;
  if (value == kNoRegister) return kNone;
  if (draft_.bits[value] != 1) refuse("the second result must be a predicate");
  note_access(value | Draft::kDefinition);
  return value;
}

uint32_t Decoder::bits_of_register(const Operand& operand) const {
  return operand.form == Operand::Form::reg ? draft_.bits[operand.reg] : 0;
}

uint32_t Decoder::wide_result(const Operand& operand, Type type, uint32_t& bits) {
  bits = bits_of_register(operand) > 0 ? bits_of_register(operand) : std::max(bits_of(type), 16U);
  if (bits < bits_of(type)) refuse("the result's register is too narrow");
  return result(operand, bits);
}

uint32_t Decoder::wide_value(const Operand& operand, Type type, uint32_t& bits) {
  bits = bits_of_register(operand) > 0 ? bits_of_register(operand) : std::max(bits_of(type), 16U);
  if (bits < bits_of(type)) refuse("the value's register is too narrow");
  return value(operand, bits);
}

uint64_t Decoder::constant(size_t index) const {
  const Operand& operand = this->operand(index);
  if (operand.form != Operand::Form::immediate || operand.is_float) refuse("expected an integer constant");
  return operand.value;
}

void Decoder::address(size_t index, size_t slot) {
  const Operand& operand = this->operand(index);
  if (operand.form != Operand::Form::address) refuse("expected an address in brackets");
  in.immediate = operand.value;
  in.target = 0;
  if (operand.reg != kNoRegister) {
    const uint32_t bits = draft_.bits[operand.reg];
    if (bits != 32 && bits != 64) refuse("an address has 32 or 64 bits");
    in.target = bits == 32 ? 1 : 0;
    in.src[slot] = operand.reg;
  } else if (!operand.name.empty()) {
    in.src[slot] = draft_.constant(64, symbol(operand.name).address);
  } else {
    in.src[slot] = draft_.constant(64, 0);
  }
  note_access(in.src[slot]);
}

std::span<const Operand> Decoder::elements(size_t index, size_t count) const {
  const Operand& operand = this->operand(index);
  const bool vector = operand.form == Operand::Form::vector;
  const std::span<const Operand> parts(vector ? operand.parts.data() : &operand,
                                       vector ? operand.parts.size() : 1);
  if (parts.size() != count)
    refuse(str("a vector of ", parts.size(), " where ", count, " elements are needed"));
  return parts;
}

void Decoder::vector_results(size_t index, size_t count, uint32_t bits) {
  for (const Operand& part : elements(index, count)) push_vector(result(part, bits));
}

void Decoder::vector_values(size_t index, size_t count, uint32_t bits) {
  for (const Operand& part : elements(index, count)) push_vector(value(part, bits));
}

void Decoder::finish() {
  if (!rest_.empty()) refuse(str("modifier .", rest_.front(), " is not supported here"));
  Kernel& kernel = draft_.kernel;
  kernel.code.push_back(in);
  kernel.lines.push_back(statement_.line);
  kernel.texts.push_back(statement_.text);
  draft_.first_access.push_back(static_cast<uint32_t>(draft_.accesses.size()));
}

void Decoder::refuse(std::string_view why) const {
  fail(Kind::input, "PTX line ", statement_.line, ": ", in_quotes(statement_.text), ": ", why);
}

}  // namespace gristmill::emulator

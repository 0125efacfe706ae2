#include "emulator/ptx/declarations.hpp"

#include <bit>
#include <cstring>
#include <string>

namespace gristmill::emulator {
namespace {

constexpr uint64_t kLargestParameters = 32764;  // of sm_70 and later
constexpr uint64_t kLargestAlignment = 4096;

/// The alignment and the type before a name; ".ptr .global .align 8" behind a parameter's type says nothing
/// that we need.
Type parse_attributes(Cursor& cursor, Variable& variable) {
  Type type = Type::none;
  uint32_t elements = 1;
  bool pointee = false;
  while (cursor.peek().kind == Token::Kind::word && cursor.peek().text.front() == '.') {
    const std::string_view word = cursor.take().text.substr(1);
    if (word == "align") {
      const uint64_t alignment = cursor.number("an alignment", kLargestAlignment);
      if (!std::has_single_bit(alignment)) cursor.refuse("an alignment that is no power of two");
      if (!pointee) variable.alignment = static_cast<uint32_t>(alignment);
    } else if (word == "ptr") {
      pointee = true;
    } else if (word == "v2" || word == "v4") {
      elements = word == "v2" ? 2 : 4;
    } else if (parse_type(word) != Type::none) {
      type = parse_type(word);
    } else if (!(pointee && (word == "global" || word == "shared" || word == "const" || word == "local"))) {
      cursor.refuse(str("attribute .", word, " of a variable is not supported"));
    }
  }
  if (type == Type::none || type == Type::pred) cursor.refuse("expected a variable's type");
  variable.size = uint64_t{bytes_of(type)} * elements;
  if (variable.alignment == 0) variable.alignment = static_cast<uint32_t>(variable.size);
  return type;
}

void append_value(Cursor& cursor, Variable& variable) {
  const Literal literal = parse_literal(cursor);
  uint64_t bits = literal.bits;
  if (variable.type == Type::f64 && literal.is_float && !literal.is_double) {
    bits = std::bit_cast<uint64_t>(static_cast<double>(std::bit_cast<float>(static_cast<uint32_t>(bits))));
  } else if (variable.type == Type::f32 && literal.is_double) {
    bits = std::bit_cast<uint32_t>(static_cast<float>(std::bit_cast<double>(bits)));
  }
  char bytes[8];
  std::memcpy(bytes, &bits, sizeof bits);
  variable.initial.append(bytes, bytes_of(variable.type));
  if (variable.initial.size() > kLargestVariable) cursor.refuse("an initialiser is too long");
}

/// "= value" or "= {value, …}", with inner braces for rows; what is left out is zero.
void parse_initialiser(Cursor& cursor, Variable& variable) {
  size_t depth = 0;
  do {
    while (cursor.take_if("{")) ++depth;
    append_value(cursor, variable);
    while (depth > 0 && cursor.take_if("}")) --depth;
  } while (depth > 0 && (cursor.expect(","), true));
}

}  // namespace

Variable parse_variable(Cursor& cursor, Space space, bool is_extern) {
  Variable variable;
  variable.space = space;
  variable.line = cursor.peek().line;
  variable.type = parse_attributes(cursor, variable);
  variable.name = cursor.word("a variable's name");
  const uint64_t element = variable.size;
  while (cursor.take_if("[")) {
    if (cursor.take_if("]")) {
      if (variable.size != element) cursor.refuse("only the first bound of an array may be left out");
      variable.dynamic = true;
      continue;
    }
    const uint64_t count = cursor.number("an array's size", kLargestVariable);
    variable.size *= count;
    if (variable.size > kLargestVariable) cursor.refuse("a variable of more than 1 GiB");
    cursor.expect("]");
  }
  if (cursor.take_if("=")) parse_initialiser(cursor, variable);
  if (variable.dynamic && !variable.initial.empty()) {
    variable.size = variable.initial.size();
    variable.dynamic = false;
  }
  if (variable.initial.size() > variable.size) cursor.refuse("more values than the variable holds");
  if (variable.dynamic) variable.size = 0;
  if (variable.dynamic && !(is_extern && space == Space::shared)) {
    cursor.refuse("only extern shared arrays may have no size");
  }
  return variable;
}

std::vector<Variable> parse_parameters(Cursor& cursor) {
  std::vector<Variable> parameters;
  if (!cursor.take_if("(")) return parameters;
  uint64_t bytes = 0;
  while (!cursor.take_if(")")) {
    if (!parameters.empty()) cursor.expect(",");
    cursor.expect(".param");
    parameters.push_back(parse_variable(cursor, Space::param, false));
    bytes += parameters.back().size + parameters.back().alignment;
    if (bytes > 2 * kLargestParameters)
      cursor.refuse(str("more than ", kLargestParameters, " bytes of parameters"));
  }
  return parameters;
}

Literal parse_literal(Cursor& cursor) {
  const bool negative = cursor.take_if("-");
  const std::string_view text = cursor.word("a number");
  Literal literal;
  if (text.size() > 2 && text[0] == '0' &&
      (text[1] == 'f' || text[1] == 'F' || text[1] == 'd' || text[1] == 'D')) {
    literal.is_float = true;
    literal.is_double = text[1] == 'd' || text[1] == 'D';
    const auto bits = Cursor::parse_integer(str("0x", text.substr(2)));
    if (text.size() != (literal.is_double ? 18U : 10U) || !bits.has_value() || text.back() == 'U' ||
        text.back() == 'u') {
      cursor.refuse(str("the number ", in_quotes(text), " is damaged"));
    }
    literal.bits = *bits ^ (negative ? uint64_t{1} << (literal.is_double ? 63 : 31) : 0);
    return literal;
  }
  if (const auto integer = Cursor::parse_integer(text)) {
    literal.bits = negative ? 0 - *integer : *integer;
    return literal;
  }
  const auto value = parse_double(text);
  if (!value.has_value()) cursor.refuse(str("the number ", in_quotes(text), " is damaged"));
  literal = {std::bit_cast<uint64_t>(negative ? -*value : *value), true, true};
  return literal;
}

}  // namespace gristmill::emulator

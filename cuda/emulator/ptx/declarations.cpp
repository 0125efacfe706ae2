#include "emulator/ptx/declarations.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>
#include <vector>

namespace gristmill::emulator {
namespace {

constexpr uint64_t kLargestAlignment = 4096;
constexpr size_t kMostBounds = 8;

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

/// "= value" or "= {value, …}". Values are listed flat, or rows in braces of their own, which must be whole;
/// what is left out at the end of the variable is zero. `bounds` are those of the array, then that of a
/// vector; the first may be 0 for one that the values decide.
class Initialiser {
 public:
  Initialiser(Cursor& cursor, Variable& variable, const std::vector<uint64_t>& bounds)
      : cursor_(cursor), variable_(variable), bounds_(bounds) {}

  void parse() {
    do {
      while (cursor_.take_if("{")) open();
      append_value(cursor_, variable_);
      ++count_;
      while (!braces_.empty() && cursor_.take_if("}")) close();
    } while (!braces_.empty() && (cursor_.expect(","), true));
  }

 private:
  struct Brace {
    uint64_t begin = 0, row = 0;  ///< values before it and, but for the outermost, those it must hold
  };

  void open() {
    const size_t depth = braces_.size();
    if (depth >= std::max<size_t>(bounds_.size(), 1)) {
      cursor_.refuse("more braces than the variable has bounds");
    }
    uint64_t row = 1;
    for (size_t i = depth; depth > 0 && i < bounds_.size(); ++i) row *= bounds_[i];
    if (row == 0 || (depth > 0 && (count_ - braces_.back().begin) % row != 0)) {
      cursor_.refuse("a row of values begins inside another");
    }
    braces_.push_back({count_, row});
  }

  void close() {
    const Brace brace = braces_.back();
    braces_.pop_back();
    if (!braces_.empty() && count_ - brace.begin != brace.row) {
      cursor_.refuse(str("a row of ", count_ - brace.begin, " values where ", brace.row, " are needed"));
    }
  }

  Cursor& cursor_;
  Variable& variable_;
  const std::vector<uint64_t>& bounds_;
  std::vector<Brace> braces_;
  uint64_t count_ = 0;
};

/// The bounds behind a variable's name. Sets its size.
std::vector<uint64_t> parse_bounds(Cursor& cursor, Variable& variable) {
  std::vector<uint64_t> bounds;
  while (cursor.take_if("[")) {
    if (bounds.size() == kMostBounds) cursor.refuse(str("an array with more than ", kMostBounds, " bounds"));
    if (cursor.take_if("]")) {
      if (!bounds.empty()) cursor.refuse("only the first bound of an array may be left out");
      variable.dynamic = true;
      bounds.push_back(0);
      continue;
    }
    bounds.push_back(cursor.number("an array's size", kLargestVariable));
    variable.size *= bounds.back();
    if (variable.size > kLargestVariable) cursor.refuse("a variable of more than 1 GiB");
    cursor.expect("]");
  }
  return bounds;
}

}  // namespace

namespace {

/// Type and alignment, which hold for all names of a declaration.
Variable parse_kind(Cursor& cursor, Space space) {
  Variable kind;
  kind.space = space;
  kind.type = parse_attributes(cursor, kind);
  return kind;
}

Variable parse_name(Cursor& cursor, const Variable& kind, bool is_extern) {
  Variable variable = kind;
  variable.line = cursor.peek().line;
  variable.name = cursor.word("a variable's name");
  const uint64_t elements = variable.size / bytes_of(variable.type);
  std::vector<uint64_t> bounds = parse_bounds(cursor, variable);
  if (elements > 1) bounds.push_back(elements);
  if (cursor.take_if("=")) Initialiser(cursor, variable, bounds).parse();
  if (variable.dynamic && !variable.initial.empty()) {
    variable.size = variable.initial.size();
    variable.dynamic = false;
  }
  if (variable.initial.size() > variable.size) cursor.refuse("more values than the variable holds");
  if (variable.dynamic) variable.size = 0;
  if (variable.dynamic && !(is_extern && variable.space == Space::shared)) {
    cursor.refuse("only extern shared arrays may have no size");
  }
  return variable;
}

}  // namespace

std::vector<Variable> parse_variables(Cursor& cursor, Space space, bool is_extern) {
  const Variable kind = parse_kind(cursor, space);
  std::vector<Variable> variables;
  do {
    variables.push_back(parse_name(cursor, kind, is_extern));
  } while (cursor.take_if(","));
  cursor.expect(";");
  return variables;
}

std::vector<Variable> parse_parameters(Cursor& cursor) {
  std::vector<Variable> parameters;
  if (!cursor.take_if("(")) return parameters;
  uint64_t bytes = 0;
  while (!cursor.take_if(")")) {
    if (!parameters.empty()) cursor.expect(",");
    cursor.expect(".param");
    parameters.push_back(parse_name(cursor, parse_kind(cursor, Space::param), false));
    bytes += parameters.back().size + parameters.back().alignment;
    if (bytes > 2 * kMostParameterBytes)  // a first bound; the exact one holds when they are placed
      cursor.refuse(str("more than ", kMostParameterBytes, " bytes of parameters"));
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

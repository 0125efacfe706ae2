#include "emulator/ptx/entry_parser.hpp"

#include <utility>

#include "emulator/ptx/declarations.hpp"
#include "emulator/ptx/scope.hpp"

namespace gristmill::emulator {
namespace {

constexpr size_t kMostStatements = size_t{1} << 20, kMostOperands = 16, kLongestVector = 8,
                 kLongestText = 200;
constexpr size_t kMostTargets = 1 << 16, kMostVariables = 1 << 16;

class EntryParser {
 public:
  EntryParser(Cursor& cursor, uint64_t most_registers)
      : cursor_(cursor), scopes_(cursor, entry_, most_registers) {}

  EntrySyntax run() {
    entry_.line = cursor_.peek().line;
    entry_.name = cursor_.word("a kernel's name");
    entry_.parameters = parse_parameters(cursor_);
    while (!cursor_.at("{")) launch_bound();
    cursor_.take();
    while (scopes_.depth() > 0) body_item();
    return std::move(entry_);
  }

 private:
  void launch_bound() {
    const std::string_view word = cursor_.word("a launch bound or a body");
    if (word == ".maxntid" || word == ".reqntid") {
      entry_.exact_threads = word == ".reqntid";
      entry_.max_threads = {1, 1, 1};
      size_t axis = 0;
      do {
        entry_.max_threads[axis++] = static_cast<uint32_t>(cursor_.number("a number of threads", 1024));
      } while (axis < 3 && cursor_.take_if(","));
    } else if (word == ".minnctapersm" || word == ".maxnreg") {
      cursor_.number("a bound", UINT32_MAX);
    } else if (word == ".pragma") {
      cursor_.skip_past(";");
    } else {
      cursor_.refuse(str("directive ", word, " of a kernel is not supported"));
    }
  }

  void body_item() {
    if (cursor_.at_end()) cursor_.refuse("a kernel has no end");
    if (cursor_.take_if("{")) return scopes_.open();
    if (cursor_.take_if("}")) return scopes_.close();
    if (cursor_.take_if(";")) return;
    const Token& first = cursor_.peek();
    if (first.kind == Token::Kind::word && cursor_.peek(1).kind == Token::Kind::symbol &&
        cursor_.peek(1).text == ":") {
      return label();
    }
    if (first.kind == Token::Kind::word && first.text.front() == '.') return directive();
    statement();
  }

  void label() {
    const std::string_view name = cursor_.take().text;
    cursor_.take();
    if (!cursor_.take_if(".branchtargets")) return scopes_.label(name);
    const auto table = static_cast<uint32_t>(entry_.tables.size());
    entry_.tables.emplace_back();
    do {
      const auto index = static_cast<uint32_t>(entry_.tables.back().size());
      if (index == kMostTargets) cursor_.refuse("too many targets");
      entry_.tables.back().push_back(0);
      scopes_.table_target(cursor_.word("a label"), table, index);
    } while (cursor_.take_if(","));
    cursor_.expect(";");
    scopes_.table(name, table);
  }

  void directive() {
    const std::string_view word = cursor_.peek().text;
    if (word == ".loc" || word == ".file") return cursor_.skip_line();
    if (word == ".pragma") return cursor_.skip_past(";");
    cursor_.take();
    if (word == ".reg") return scopes_.declare_registers();
    if (word != ".shared" && word != ".local")
      cursor_.refuse(str("directive ", word, " is not supported in a kernel"));
    for (Variable& variable :
         parse_variables(cursor_, word == ".shared" ? Space::shared : Space::local, false)) {
      entry_.variables.push_back(std::move(variable));
    }
    if (entry_.variables.size() > kMostVariables) cursor_.refuse("too many variables");
  }

  void statement() {
    if (entry_.statements.size() == kMostStatements) cursor_.refuse("too many instructions");
    Statement statement;
    const Token& first = cursor_.peek();
    statement.line = first.line;
    if (cursor_.take_if("@")) {
      statement.guard_negated = cursor_.take_if("!");
      statement.guard = known_register(cursor_.word("a predicate"));
      if (entry_.registers[statement.guard] != Type::pred) cursor_.refuse("the guard is no predicate");
    }
    split_name(cursor_.word("an instruction"), statement);
    entry_.statements.push_back(std::move(statement));
    while (!cursor_.at(";")) {
      Statement& current = entry_.statements.back();
      if (!current.operands.empty()) cursor_.expect(",");
      if (current.operands.size() == kMostOperands) cursor_.refuse("too many operands");
      current.operands.push_back(operand(true));
    }
    const char* end = cursor_.take().text.data();
    Statement& done = entry_.statements.back();
    done.source = {first.text.data(), static_cast<size_t>(end - first.text.data())};
    done.text = with_single_blanks(done.source);
  }

  static void split_name(std::string_view name, Statement& statement) {
    const std::vector<std::string_view> parts = split(name, '.');
    statement.opcode = parts[0];
    statement.modifiers.assign(parts.begin() + 1, parts.end());
  }

  uint32_t known_register(std::string_view name) {
    const uint32_t number = scopes_.find(name);
    if (number == kNoRegister) cursor_.refuse(str("register ", in_quotes(name), " is not declared"));
    return number;
  }

  Operand operand(bool outermost) {
    if (outermost && cursor_.at("{")) return vector();
    if (outermost && cursor_.at("[")) return address();
    Operand result;
    result.negated = cursor_.take_if("!");
    const std::string_view word = cursor_.peek().text;
    const bool number =
        cursor_.at("-") || (cursor_.peek().kind == Token::Kind::word && word[0] >= '0' && word[0] <= '9');
    if (number) {
      const Literal literal = parse_literal(cursor_);
      result.value = literal.bits;
      result.is_float = literal.is_float;
      result.is_double = literal.is_double;
      return result;
    }
    result.name = cursor_.word("an operand");
    result.reg = scopes_.find(result.name);
    if (result.reg != kNoRegister) {
      result.form = Operand::Form::reg;
      if (cursor_.take_if("|")) result.second = known_register(cursor_.word("a second result"));
    } else if (entry_.statements.back().opcode == "bra" || entry_.statements.back().opcode == "brx") {
      result.form = Operand::Form::label;
      const Statement& jump = entry_.statements.back();
      scopes_.jump(result.name, static_cast<uint32_t>(entry_.statements.size() - 1),
                   static_cast<uint32_t>(jump.operands.size()), jump.opcode == "brx");
    } else {
      result.form = result.name[0] == '%' ? Operand::Form::special : Operand::Form::symbol;
      if (cursor_.take_if("+")) result.value = cursor_.number("an offset", UINT32_MAX);
    }
    return result;
  }

  Operand vector() {
    Operand result;
    result.form = Operand::Form::vector;
    cursor_.expect("{");
    do {
      if (result.parts.size() == kLongestVector) cursor_.refuse("a vector of more than 8 elements");
      result.parts.push_back(operand(false));
    } while (cursor_.take_if(","));
    cursor_.expect("}");
    return result;
  }

  Operand address() {
    Operand result;
    result.form = Operand::Form::address;
    cursor_.expect("[");
    if (!cursor_.at("-") && !Cursor::parse_integer(cursor_.peek().text).has_value()) {
      result.name = cursor_.word("an address");
      result.reg = scopes_.find(result.name);
      if (result.reg != kNoRegister) result.name = {};
    } else {
      result.value = parse_literal(cursor_).bits;
    }
    if (cursor_.take_if("+")) result.value += parse_literal(cursor_).bits;
    if (cursor_.at("-")) result.value += parse_literal(cursor_).bits;
    cursor_.expect("]");
    return result;
  }

  /// The beginning of a source, with each run of white space as one blank.
  static std::string with_single_blanks(std::string_view source) {
    std::string out;
    for (const char c : source) {
      if (out.size() == kLongestText) break;
      const bool blank = c == ' ' || c == '\t' || c == '\n' || c == '\r';
      if (!blank || (!out.empty() && out.back() != ' ')) out += blank ? ' ' : c;
    }
    return out;
  }

  Cursor& cursor_;
  EntrySyntax entry_;
  Scopes scopes_;
};

}  // namespace

EntrySyntax parse_entry(Cursor& cursor, uint64_t most_registers) {
  return EntryParser(cursor, most_registers).run();
}

}  // namespace gristmill::emulator

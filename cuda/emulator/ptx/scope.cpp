#include "emulator/ptx/scope.hpp"

#include <utility>

namespace gristmill::emulator {
namespace {

constexpr size_t kDeepest = 64;

}  // namespace

void Scopes::open() {
  if (levels_.size() == kDeepest) cursor_.refuse("scopes are nested too deeply");
  levels_.emplace_back();
}

void Scopes::close() {
  Level level = std::move(levels_.back());
  levels_.pop_back();
  for (const Jump& jump : level.jumps) {
    const auto found = level.labels.find(jump.name);
    const bool known = found != level.labels.end();
    if (known && found->second.is_table == jump.to_table) {
      resolve(jump, found->second.place);
    } else if (!known && !levels_.empty()) {
      levels_.back().jumps.push_back(jump);
    } else {
      fail(Kind::input, "PTX line ", jump.line, jump.to_table ? ": no table of targets " : ": no label ",
           in_quotes(jump.name));
    }
  }
}

void Scopes::resolve(const Jump& jump, uint32_t target) {
  if (jump.in_table) {
    entry_.tables[jump.place][jump.index] = target;
  } else {
    entry_.statements[jump.place].operands[jump.index].value = target;
  }
}

void Scopes::declare_registers() {
  const std::string_view word = cursor_.word("a register's type");
  const Type type = parse_type(word.substr(word.empty() || word[0] != '.' ? 0 : 1));
  if (type == Type::none) cursor_.refuse(str("registers of type ", word, " are not supported"));
  do {
    const std::string_view name = cursor_.word("a register's name");
    if (cursor_.at("<")) {
      add_range(name, type);
    } else {
      add(name, type);
    }
  } while (cursor_.take_if(","));
  cursor_.expect(";");
}

void Scopes::add(std::string_view name, Type type) {
  if (entry_.registers.size() >= most_registers_) cursor_.refuse("too many registers");
  const auto number = static_cast<uint32_t>(entry_.registers.size());
  if (!levels_.back().registers.emplace(name, number).second) {
    cursor_.refuse(str("register ", name, " is declared twice"));
  }
  entry_.registers.push_back(type);
}

void Scopes::add_range(std::string_view prefix, Type type) {
  cursor_.expect("<");
  const auto count = static_cast<uint32_t>(cursor_.number("a number of registers", kMostRegisters));
  cursor_.expect(">");
  if (entry_.registers.size() + count > most_registers_) cursor_.refuse("too many registers");
  const Range range = {static_cast<uint32_t>(entry_.registers.size()), count};
  if (!levels_.back().ranges.emplace(prefix, range).second) {
    cursor_.refuse(str("registers ", prefix, " are declared twice"));
  }
  entry_.registers.insert(entry_.registers.end(), count, type);
}

uint32_t Scopes::find(std::string_view name) const {
  const size_t digits = name.size() - 1 - name.find_last_not_of("0123456789");
  const auto number = Cursor::parse_integer(name.substr(name.size() - digits));
  const bool in_range = digits > 0 && digits <= 7 && (digits == 1 || name[name.size() - digits] != '0');
  for (auto level = levels_.rbegin(); level != levels_.rend(); ++level) {
    const auto found = level->registers.find(name);
    if (found != level->registers.end()) return found->second;
    if (!in_range || !number.has_value()) continue;
    const auto range = level->ranges.find(name.substr(0, name.size() - digits));
    if (range != level->ranges.end() && *number < range->second.count) {
      return range->second.first + static_cast<uint32_t>(*number);
    }
  }
  return kNoRegister;
}

void Scopes::add_label(std::string_view name, Label label) {
  if (!levels_.back().labels.emplace(name, label).second) {
    cursor_.refuse(str("label ", name, " stands twice"));
  }
}

void Scopes::label(std::string_view name) {
  add_label(name, {static_cast<uint32_t>(entry_.statements.size()), false});
}

void Scopes::table(std::string_view name, uint32_t index) { add_label(name, {index, true}); }

void Scopes::jump(std::string_view name, uint32_t statement, uint32_t operand, bool to_table) {
  levels_.back().jumps.push_back({name, statement, operand, false, to_table, cursor_.peek().line});
}

void Scopes::table_target(std::string_view name, uint32_t table, uint32_t index) {
  levels_.back().jumps.push_back({name, table, index, true, false, cursor_.peek().line});
}

}  // namespace gristmill::emulator

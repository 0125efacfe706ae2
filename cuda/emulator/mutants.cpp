#include "emulator/mutants.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

#include "base/str.hpp"
#include "emulator/ptx/syntax.hpp"

namespace gristmill::emulator {
namespace {

/// A change of the source: `size` bytes at `at` become `text`.
struct Change {
  MutantKind kind = MutantKind::barrier;
  size_t at = 0, size = 0;
  std::string text;
};

bool has(const Statement& statement, std::string_view modifier) {
  return std::find(statement.modifiers.begin(), statement.modifiers.end(), modifier) !=
         statement.modifiers.end();
}

class Maker {
 public:
  explicit Maker(std::string_view source) : source_(source) {}

  std::vector<Mutant> run() {
    const ModuleSyntax module = parse_ptx(source_);
    for (const EntrySyntax& entry : module.entries) {
      for (uint32_t i = 0; i < entry.statements.size(); ++i) {
        for (const Change& change : changes(entry.statements[i], i)) add(entry, entry.statements[i], change);
      }
    }
    return std::move(mutants_);
  }

 private:
  size_t offset(std::string_view part) const { return static_cast<size_t>(part.data() - source_.data()); }
  /// Where the instruction itself begins, behind its guard, and where its semicolon is.
  size_t begin(const Statement& statement) const { return offset(statement.opcode); }
  size_t end(const Statement& statement) const { return offset(statement.source) + statement.source.size(); }

  Change without(const Statement& statement, MutantKind kind) const {
    return {kind, offset(statement.source), statement.source.size(), ""};
  }

  std::vector<Change> changes(const Statement& statement, uint32_t index) const {
    const std::string_view opcode = statement.opcode;
    if (opcode == "bar" || opcode == "barrier") {
      if (has(statement, "red")) return {};
      return {without(statement, MutantKind::barrier)};
    }
    if (opcode == "cp" && has(statement, "wait_all")) return {without(statement, MutantKind::wait)};
    if (opcode == "cp" && has(statement, "wait_group")) return less_waiting(statement);
    if (opcode == "bra") {
      const bool forward = first_is(statement, Operand::Form::label) && statement.operands[0].value > index;
      if (!forward || statement.guard == kNoRegister) return {};
      return {without(statement, MutantKind::branch)};
    }
    return of_access(statement);
  }

  static bool first_is(const Statement& statement, Operand::Form form) {
    return !statement.operands.empty() && statement.operands[0].form == form;
  }

  std::vector<Change> less_waiting(const Statement& statement) const {
    if (!first_is(statement, Operand::Form::immediate) || statement.operands[0].is_float) return {};
    const size_t from = begin(statement);
    return {{MutantKind::wait, from, end(statement) - from,
             str("cp.async.wait_group ", statement.operands[0].value + 1)}};
  }

  std::vector<Change> of_access(const Statement& statement) const {
    constexpr std::array<std::string_view, 5> kAccesses = {"ld", "st", "cp", "atom", "red"};
    if (std::find(kAccesses.begin(), kAccesses.end(), statement.opcode) == kAccesses.end()) return {};
    std::vector<Change> changes;
    if (statement.guard != kNoRegister) {
      const size_t from = offset(statement.source);
      changes.push_back({MutantKind::guard, from, begin(statement) - from, ""});
    }
    if (statement.opcode == "cp" && statement.operands.size() == 4) {
      const size_t comma = source_.rfind(',', end(statement));
      changes.push_back({MutantKind::copy_size, comma, end(statement) - comma, ""});
    }
    return changes;
  }

  void add(const EntrySyntax& entry, const Statement& statement, const Change& change) {
    const std::string_view old = source_.substr(change.at, change.size);
    const auto lines = static_cast<size_t>(std::count(old.begin(), old.end(), '\n'));
    mutants_.push_back({change.kind, std::string(entry.name), statement.text, statement.line, change.at,
                        change.size, change.text + std::string(lines, '\n')});
  }

  std::string_view source_;
  std::vector<Mutant> mutants_;
};

}  // namespace

std::string_view to_string(MutantKind kind) {
  constexpr std::array<std::string_view, 5> kNames = {"barrier left out", "wait for one group less",
                                                      "guard left out", "branch left out",
                                                      "copy reads all bytes"};
  return kNames[static_cast<size_t>(kind)];
}

std::string Mutant::ptx(std::string_view source) const {
  return str(source.substr(0, at), change, source.substr(at + size));
}

std::vector<Mutant> mutants(std::string_view ptx) { return Maker(ptx).run(); }

}  // namespace gristmill::emulator

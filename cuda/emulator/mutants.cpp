#include "emulator/mutants.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
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
  size_t begin(const Statement& statement) const {
    return static_cast<size_t>(statement.opcode.data() - source_.data());
  }
  size_t end(const Statement& statement) const { return source_.find(';', begin(statement)); }

  /// Without the instruction; what guards it guards the empty place behind, so it goes too.
  Change without(const Statement& statement, MutantKind kind) const {
    const size_t from = guard_begin(statement).value_or(begin(statement));
    return {kind, from, end(statement) - from, ""};
  }

  /// Where "@%p1" before an instruction begins.
  std::optional<size_t> guard_begin(const Statement& statement) const {
    if (statement.guard == kNoRegister) return std::nullopt;
    return source_.rfind('@', begin(statement));
  }

  std::vector<Change> changes(const Statement& statement, uint32_t index) const {
    const std::string_view opcode = statement.opcode;
    if (opcode == "bar" || opcode == "barrier") {
      if (has(statement, "red")) return {};
      return {without(statement, MutantKind::barrier)};
    }
    if (opcode == "cp" && has(statement, "wait_all")) return {without(statement, MutantKind::wait)};
    if (opcode == "cp" && has(statement, "wait_group") && !statement.operands.empty())
      return {less_waiting(statement)};
    if (opcode == "bra" && statement.guard != kNoRegister && statement.operands[0].value > index) {
      return {without(statement, MutantKind::branch)};
    }
    return of_access(statement);
  }

  Change less_waiting(const Statement& statement) const {
    const size_t last = source_.find_last_of("0123456789", end(statement));
    size_t first = last;
    while (source_[first - 1] >= '0' && source_[first - 1] <= '9') --first;
    return {MutantKind::wait, first, last + 1 - first, str(statement.operands[0].value + 1)};
  }

  std::vector<Change> of_access(const Statement& statement) const {
    constexpr std::array<std::string_view, 5> kAccesses = {"ld", "st", "cp", "atom", "red"};
    if (std::find(kAccesses.begin(), kAccesses.end(), statement.opcode) == kAccesses.end()) return {};
    std::vector<Change> changes;
    if (const auto guard = guard_begin(statement)) {
      changes.push_back({MutantKind::guard, *guard, begin(statement) - *guard, ""});
    }
    if (statement.opcode == "cp" && statement.operands.size() == 4) {
      const size_t comma = source_.rfind(',', end(statement));
      changes.push_back({MutantKind::copy_size, comma, end(statement) - comma, ""});
    }
    return changes;
  }

  void add(const EntrySyntax& entry, const Statement& statement, const Change& change) {
    Mutant mutant = {change.kind, std::string(entry.name), statement.text, statement.line,
                     std::string(source_)};
    const std::string_view old = source_.substr(change.at, change.size);
    const auto lines = static_cast<size_t>(std::count(old.begin(), old.end(), '\n'));
    mutant.ptx.replace(change.at, change.size, change.text + std::string(lines, '\n'));
    mutants_.push_back(std::move(mutant));
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

std::vector<Mutant> mutants(std::string_view ptx) { return Maker(ptx).run(); }

}  // namespace gristmill::emulator

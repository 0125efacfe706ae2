#pragma once

// Names in the body of a kernel. Braces open a scope: inline assembly declares registers and labels of its
// own.

#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "emulator/ptx/cursor.hpp"
#include "emulator/ptx/syntax.hpp"

namespace gristmill::emulator {

class Scopes {
 public:
  Scopes(Cursor& cursor, EntrySyntax& entry, uint64_t most_registers)
      : cursor_(cursor), entry_(entry), most_registers_(most_registers) {
    open();
  }

  void open();
  /// Ends the innermost scope: jumps to its labels are resolved, others are looked for further out. The
  /// nearest name counts; a jump to a table, a table's name where a label must stand, and a jump to nowhere
  /// are Errors.
  void close();
  size_t depth() const { return levels_.size(); }

  /// ".reg .b32 %r<9>, %x;" from behind ".reg" to the semicolon.
  void declare_registers();
  /// The register of a name, or kNoRegister.
  uint32_t find(std::string_view name) const;

  /// A label at the next statement.
  void label(std::string_view name);
  /// The name of a jump table: not a place in the code.
  void table(std::string_view name, uint32_t index);
  /// Operand `operand` of statement `statement` is the label `name`, or the jump table of that name.
  void jump(std::string_view name, uint32_t statement, uint32_t operand, bool to_table);
  /// Entry `index` of jump table `table` is the label `name`.
  void table_target(std::string_view name, uint32_t table, uint32_t index);

 private:
  struct Range {
    uint32_t first = 0, count = 0;
  };
  struct Label {
    uint32_t place = 0;  ///< statement or table
    bool is_table = false;
  };
  struct Jump {
    std::string_view name;
    uint32_t place = 0, index = 0;  ///< statement and operand, or table and entry
    bool in_table = false;          ///< which of the two
    bool to_table = false;          ///< what the name must be
    uint32_t line = 0;
  };
  struct Level {
    std::unordered_map<std::string_view, uint32_t> registers;
    std::unordered_map<std::string_view, Label> labels;
    std::unordered_map<std::string_view, Range> ranges;
    std::vector<Jump> jumps;
  };

  void add(std::string_view name, Type type);
  void add_range(std::string_view prefix, Type type);
  void add_label(std::string_view name, Label label);
  void resolve(const Jump& jump, uint32_t target);

  Cursor& cursor_;
  EntrySyntax& entry_;
  const uint64_t most_registers_;
  std::vector<Level> levels_;
};

}  // namespace gristmill::emulator

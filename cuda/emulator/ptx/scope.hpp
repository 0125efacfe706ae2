#pragma once

// Names in the body of a kernel. Braces open a scope: inline assembly declares registers and labels of its
// own.

#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "emulator/ptx/cursor.hpp"
#include "emulator/ptx/syntax.hpp"

namespace gristmill::emulator {

class Scopes {
 public:
  Scopes(Cursor& cursor, EntrySyntax& entry) : cursor_(cursor), entry_(entry) { open(); }

  void open();
  /// Ends the innermost scope: jumps to its labels are resolved, others are looked for further out. Closing
  /// the outermost scope with a jump to nowhere is an Error.
  void close();
  size_t depth() const { return levels_.size(); }

  /// ".reg .b32 %r<9>, %x;" from behind ".reg" to the semicolon.
  void declare_registers();
  /// The register of a name, or kNoRegister.
  uint32_t find(std::string_view name) const;

  /// A label at the next statement.
  void label(std::string_view name);
  /// A label of a jump table.
  void table(std::string_view name, uint32_t index);
  /// Statement `statement`, operand `operand` jumps to `name`.
  void jump(std::string_view name, uint32_t statement, uint32_t operand);
  /// Entry `index` of jump table `table` is `name`.
  void table_target(std::string_view name, uint32_t table, uint32_t index);

 private:
  struct Range {
    uint32_t first = 0, count = 0;
  };
  struct Jump {
    std::string_view name;
    uint32_t place = 0, index = 0;  ///< statement and operand, or table and entry
    bool in_table = false;
    uint32_t line = 0;
  };
  struct Level {
    std::unordered_map<std::string_view, uint32_t> registers, labels;
    std::unordered_map<std::string_view, Range> ranges;
    std::vector<Jump> jumps;
  };

  void add(std::string_view name, Type type);
  void add_range(std::string_view prefix, Type type);
  void resolve(const Jump& jump, uint32_t target);

  Cursor& cursor_;
  EntrySyntax& entry_;
  std::vector<Level> levels_;
};

}  // namespace gristmill::emulator

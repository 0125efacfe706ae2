// Module scope: directives, variables, kernels. Functions other than kernels are passed over; a call of one
// is refused later.

#include <algorithm>
#include <utility>

#include "emulator/ptx/declarations.hpp"
#include "emulator/ptx/entry_parser.hpp"

namespace gristmill::emulator {
namespace {

// What a hostile text can make of the host's memory and time is bounded by its own size and by these.
constexpr size_t kLongestSource = size_t{16} << 20;
constexpr size_t kMostEntries = 1 << 16, kMostVariables = 1 << 16;
constexpr uint64_t kMostVariableBytes = uint64_t{4} << 30, kMostRegistersTogether = 1 << 24;

class ModuleParser {
 public:
  explicit ModuleParser(std::string_view source) : cursor_(tokenize(source)) {}

  ModuleSyntax run() {
    cursor_.expect(".version");
    cursor_.word("a version");
    cursor_.expect(".target");
    cursor_.word("a target");
    while (cursor_.take_if(",")) cursor_.word("a target option");
    while (!cursor_.at_end()) declaration();
    return std::move(module_);
  }

 private:
  void declaration() {
    bool is_extern = false;
    for (;;) {
      if (cursor_.take_if(".extern")) {
        is_extern = true;
      } else if (!cursor_.take_if(".visible") && !cursor_.take_if(".weak") && !cursor_.take_if(".common")) {
        break;
      }
    }
    const std::string_view word = cursor_.peek().text;
    if (word == ".global" || word == ".const" || word == ".shared") {
      cursor_.take();
      variable(word == ".global"  ? Space::global
               : word == ".const" ? Space::constant
                                  : Space::shared,
               is_extern);
    } else if (word == ".entry") {
      cursor_.take();
      if (module_.entries.size() == kMostEntries) cursor_.refuse("too many kernels");
      module_.entries.push_back(parse_entry(cursor_, std::min(kMostRegisters, registers_left_)));
      registers_left_ -= module_.entries.back().registers.size();
    } else if (word == ".func") {
      function();
    } else if (word == ".address_size") {
      cursor_.take();
      if (cursor_.number("an address size", 64) != 64) cursor_.refuse("addresses must have 64 bits");
    } else if (word == ".file" || word == ".loc") {
      cursor_.skip_line();
    } else if (word == ".pragma") {
      cursor_.skip_past(";");
    } else if (word == ".section") {
      cursor_.take();
      cursor_.word("a section");
      cursor_.skip_block();
    } else {
      cursor_.refuse("expected a declaration");
    }
  }

  void variable(Space space, bool is_extern) {
    for (Variable& variable : parse_variables(cursor_, space, is_extern)) {
      bytes_ += variable.size;
      if (bytes_ > kMostVariableBytes) cursor_.refuse("variables of more than 4 GiB together");
      if (is_extern && !variable.dynamic) {
        cursor_.refuse(str("variable ", variable.name, " is defined elsewhere: there is no linker here"));
      }
      module_.variables.push_back(std::move(variable));
    }
    if (module_.variables.size() > kMostVariables) cursor_.refuse("too many variables");
  }

  void function() {
    while (!cursor_.at("{") && !cursor_.at(";")) {
      if (cursor_.at_end()) cursor_.refuse("a function has no end");
      cursor_.take();
    }
    if (cursor_.at("{")) {
      cursor_.skip_block();
    } else {
      cursor_.take();
    }
  }

  Cursor cursor_;
  ModuleSyntax module_;
  uint64_t bytes_ = 0, registers_left_ = kMostRegistersTogether;
};

}  // namespace

ModuleSyntax parse_ptx(std::string_view source) {
  if (source.size() > kLongestSource) fail(Kind::input, "PTX text of more than 16 MiB");
  return ModuleParser(source).run();
}

}  // namespace gristmill::emulator

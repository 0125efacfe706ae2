#pragma once

// A PTX text made ready to run.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "emulator/instruction.hpp"
#include "emulator/memory.hpp"
#include "emulator/ptx/syntax.hpp"

namespace gristmill::emulator {

class Module {
 public:
  /// Parses and decodes `ptx` and puts its global and constant variables into `memory`, which must outlive
  /// the module. `name` is for messages. Error{input} with line and instruction for anything damaged or not
  /// supported.
  Module(Memory& memory, std::string_view ptx, const std::string& name);
  ~Module();
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;

  /// Error{device} if there is no kernel of this name.
  const Kernel& kernel(std::string_view name) const;
  const std::vector<Kernel>& kernels() const { return kernels_; }

  struct Global {
    std::string name;
    uint64_t address = 0, size = 0;
  };
  /// Global and constant variables.
  const std::vector<Global>& globals() const { return globals_; }

 private:
  uint64_t add_global(const Variable& variable);
  void release_globals();

  Memory& memory_;
  std::vector<Kernel> kernels_;
  std::vector<Global> globals_;
};

}  // namespace gristmill::emulator

#include "emulator/module.hpp"

#include <algorithm>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "base/error.hpp"
#include "base/str.hpp"
#include "emulator/block.hpp"
#include "emulator/decode/decoder.hpp"
#include "emulator/decode/draft.hpp"
#include "emulator/ops/operations.hpp"
#include "emulator/ptx/syntax.hpp"

namespace gristmill::emulator {
namespace {

constexpr uint64_t kMostShared = 227 * 1024, kMostLocal = 512 * 1024, kMostParameters = 32764;

uint64_t align(uint64_t offset, uint64_t alignment) {
  return (offset + alignment - 1) / alignment * alignment;
}

/// Gives each variable of a space a place; the running size is bounded.
uint64_t place(uint64_t& size, const Variable& variable, uint64_t most) {
  const uint64_t offset = align(size, std::max(variable.alignment, 1U));
  size = offset + variable.size;
  if (size > most) {
    fail(Kind::input, "PTX line ", variable.line, ": variable ", variable.name, ": more than ", most,
         " bytes of this memory");
  }
  return offset;
}

/// Names used by the operands of a kernel.
std::unordered_set<std::string_view> used_names(const EntrySyntax& entry) {
  std::unordered_set<std::string_view> names;
  for (const Statement& statement : entry.statements) {
    for (const Operand& operand : statement.operands) names.insert(operand.name);
  }
  return names;
}

class KernelBuilder {
 public:
  KernelBuilder(const ModuleSyntax& module, const EntrySyntax& entry)
      : module_(module), entry_(entry), draft_(entry.registers) {}

  Kernel build(const std::vector<std::pair<std::string_view, Draft::Symbol>>& globals) {
    Kernel& kernel = draft_.kernel;
    kernel.name = entry_.name;
    kernel.max_threads = entry_.max_threads;
    kernel.exact_threads = entry_.exact_threads;
    kernel.tables = entry_.tables;
    for (const auto& [name, symbol] : globals) draft_.symbols.emplace(name, symbol);
    place_parameters();
    place_variables();
    draft_.first_access.push_back(0);
    for (const Statement& statement : entry_.statements) decode(statement);
    finish();
    place_values(draft_);
    return std::move(kernel);
  }

 private:
  void place_parameters() {
    uint64_t size = 0;
    for (const Variable& parameter : entry_.parameters) {
      const uint64_t offset = place(size, parameter, kMostParameters);
      draft_.symbols[parameter.name] = {Space::param, offset};
      draft_.kernel.parameters.push_back(
          {static_cast<uint32_t>(offset), static_cast<uint32_t>(parameter.size)});
    }
    draft_.kernel.parameter_bytes = static_cast<uint32_t>(size);
  }

  void place_variables() {
    const auto names = used_names(entry_);
    uint64_t shared = 0, local = 0, alignment = 16;
    const auto place_shared = [&](const Variable& variable) {
      alignment = std::max<uint64_t>(alignment, variable.alignment);
      if (!variable.dynamic)
        draft_.symbols[variable.name] = {Space::shared, kSharedBase + place(shared, variable, kMostShared)};
    };
    for (const Variable& variable : module_.variables) {
      if (variable.space == Space::shared && names.contains(variable.name)) place_shared(variable);
    }
    for (const Variable& variable : entry_.variables) {
      if (variable.space == Space::shared) place_shared(variable);
      if (variable.space == Space::local)
        draft_.symbols[variable.name] = {Space::local, place(local, variable, kMostLocal)};
    }
    bool dynamic = false;
    for (const Variable& variable : module_.variables)
      dynamic = dynamic || (variable.dynamic && names.contains(variable.name));
    if (dynamic) shared = align(shared, std::min<uint64_t>(alignment, kSharedBase));
    for (const Variable& variable : module_.variables) {
      if (variable.dynamic) draft_.symbols[variable.name] = {Space::shared, kSharedBase + shared};
    }
    draft_.kernel.static_shared = static_cast<uint32_t>(shared);
    draft_.kernel.local_bytes = static_cast<uint32_t>(local);
  }

  void decode(const Statement& statement) {
    Decoder decoder(draft_, statement);
    const Decode operation = find_operation(statement.opcode);
    if (operation == nullptr) decoder.refuse("unknown or unsupported instruction");
    operation(decoder);
    decoder.finish();
  }

  void finish() {
    Kernel& kernel = draft_.kernel;
    kernel.code.push_back(make_exit());
    kernel.lines.push_back(entry_.line);
    kernel.texts.emplace_back("end of the kernel");
    draft_.first_access.push_back(static_cast<uint32_t>(draft_.accesses.size()));
  }

  const ModuleSyntax& module_;
  const EntrySyntax& entry_;
  Draft draft_;
};

}  // namespace

Module::Module(Memory& memory, std::string_view ptx, const std::string& name) : memory_(memory) {
  try {
    const ModuleSyntax syntax = parse_ptx(ptx);
    std::vector<std::pair<std::string_view, Draft::Symbol>> symbols;
    for (const Variable& variable : syntax.variables) {
      if (variable.space == Space::shared) continue;
      const uint64_t address = memory.allocate(variable.size, variable.space == Space::constant);
      globals_.push_back({std::string(variable.name), address, variable.size});
      symbols.emplace_back(variable.name, Draft::Symbol{variable.space, address});
      memory.fill(address, 0, variable.size);
      memory.write(address, variable.initial.data(), variable.initial.size());
    }
    for (const EntrySyntax& entry : syntax.entries)
      kernels_.push_back(KernelBuilder(syntax, entry).build(symbols));
  } catch (const Error& error) {
    for (const Global& global : globals_) memory_.release(global.address);
    fail(error.kind(), name, ": ", error.what());
  }
}

Module::~Module() {
  for (const Global& global : globals_) memory_.release(global.address);
}

const Kernel& Module::kernel(std::string_view name) const {
  const auto found = std::find_if(kernels_.begin(), kernels_.end(),
                                  [&](const Kernel& kernel) { return kernel.name == name; });
  if (found == kernels_.end()) fail(Kind::device, "the module has no kernel ", in_quotes(name));
  return *found;
}

}  // namespace gristmill::emulator

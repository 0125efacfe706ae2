#include "emulator/module.hpp"

#include <algorithm>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/str.hpp"
#include "emulator/block.hpp"
#include "emulator/decode/decoder.hpp"
#include "emulator/decode/draft.hpp"
#include "emulator/ops/operations.hpp"

namespace gristmill::emulator {
namespace {

constexpr uint64_t kMostLocal = 512 * 1024;

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

/// What all kernels of a module share.
struct Shared {
  const ModuleSyntax& module;
  Draft::Symbols symbols;                                  ///< global and constant variables
  std::unordered_map<std::string_view, size_t> variables;  ///< shared ones, by number in the module
};

/// Whether each name stands once. Dynamic shared memory is one, however often it is declared.
void check_names(const ModuleSyntax& module) {
  std::unordered_map<std::string_view, const Variable*> known;
  for (const Variable& variable : module.variables) {
    const auto [found, is_new] = known.emplace(variable.name, &variable);
    if (!is_new && !(variable.dynamic && found->second->dynamic)) {
      fail(Kind::input, "PTX line ", variable.line, ": variable ", variable.name, " is declared twice");
    }
  }
}

/// Calls body(name) for the names in the operands of a kernel.
template <class Body>
void each_name(const std::vector<Operand>& operands, const Body& body) {
  for (const Operand& operand : operands) {
    if (!operand.name.empty()) body(operand.name);
    for (const Operand& part : operand.parts) {
      if (!part.name.empty()) body(part.name);
    }
  }
}

class KernelBuilder {
 public:
  KernelBuilder(const Shared& shared, const EntrySyntax& entry)
      : shared_(shared), entry_(entry), draft_(entry.registers, shared.symbols) {}

  Kernel build() {
    Kernel& kernel = draft_.kernel;
    kernel.name = entry_.name;
    kernel.max_threads = entry_.max_threads;
    kernel.exact_threads = entry_.exact_threads;
    kernel.tables = entry_.tables;
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
      const uint64_t offset = place(size, parameter, kMostParameterBytes);
      draft_.symbols[parameter.name] = {Space::param, offset};
      draft_.kernel.parameters.push_back(
          {static_cast<uint32_t>(offset), static_cast<uint32_t>(parameter.size)});
    }
    draft_.kernel.parameter_bytes = static_cast<uint32_t>(size);
  }

  /// The shared variables of the module that the kernel names, in the order of their declaration.
  std::vector<const Variable*> named_variables() const {
    std::vector<size_t> numbers;
    for (const Statement& statement : entry_.statements) {
      each_name(statement.operands, [&](std::string_view name) {
        const auto found = shared_.variables.find(name);
        if (found != shared_.variables.end()) numbers.push_back(found->second);
      });
    }
    std::sort(numbers.begin(), numbers.end());
    numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
    std::vector<const Variable*> variables;
    for (const size_t number : numbers) variables.push_back(&shared_.module.variables[number]);
    return variables;
  }

  void place_variables() {
    const std::vector<const Variable*> named = named_variables();
    uint64_t shared = 0, local = 0, alignment = 16;
    const auto place_shared = [&](const Variable& variable) {
      alignment = std::max<uint64_t>(alignment, variable.alignment);
      if (!variable.dynamic)
        draft_.symbols[variable.name] = {Space::shared, kSharedBase + place(shared, variable, kMostShared)};
    };
    for (const Variable* variable : named) place_shared(*variable);
    for (const Variable& variable : entry_.variables) {
      if (variable.space == Space::shared) place_shared(variable);
      if (variable.space == Space::local)
        draft_.symbols[variable.name] = {Space::local, place(local, variable, kMostLocal)};
    }
    const bool dynamic = std::any_of(named.begin(), named.end(), [](const auto* v) { return v->dynamic; });
    if (dynamic) shared = align(shared, std::min<uint64_t>(alignment, kSharedBase));
    for (const Variable* variable : named) {
      if (variable->dynamic)
        draft_.symbols.try_emplace(variable->name, Draft::Symbol{Space::shared, kSharedBase + shared});
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

  const Shared& shared_;
  const EntrySyntax& entry_;
  Draft draft_;
};

}  // namespace

Module::Module(Memory& memory, std::string_view ptx, const std::string& name) : memory_(memory) {
  try {
    const ModuleSyntax syntax = parse_ptx(ptx);
    check_names(syntax);
    Shared shared = {syntax, {}, {}};
    for (size_t i = 0; i < syntax.variables.size(); ++i) {
      const Variable& variable = syntax.variables[i];
      if (variable.space == Space::shared) {
        shared.variables.try_emplace(variable.name, i);
      } else {
        shared.symbols.emplace(variable.name, Draft::Symbol{variable.space, add_global(variable)});
      }
    }
    for (const EntrySyntax& entry : syntax.entries) kernels_.push_back(KernelBuilder(shared, entry).build());
  } catch (const Error& error) {
    release_globals();
    fail(error.kind(), name, ": ", error.what());
  }
}

Module::~Module() { release_globals(); }

uint64_t Module::add_global(const Variable& variable) {
  const uint64_t address = memory_.allocate_zeros(variable.size, variable.space == Space::constant);
  globals_.push_back({std::string(variable.name), address, variable.size});
  memory_.write(address, variable.initial.data(), variable.initial.size());
  return address;
}

void Module::release_globals() {
  // The last first: the list of allocations is by address.
  for (auto global = globals_.rbegin(); global != globals_.rend(); ++global) memory_.release(global->address);
}

const Kernel& Module::kernel(std::string_view name) const {
  const auto found = std::find_if(kernels_.begin(), kernels_.end(),
                                  [&](const Kernel& kernel) { return kernel.name == name; });
  if (found == kernels_.end()) fail(Kind::device, "the module has no kernel ", in_quotes(name));
  return *found;
}

}  // namespace gristmill::emulator

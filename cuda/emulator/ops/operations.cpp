#include "emulator/ops/operations.hpp"

#include <map>

namespace gristmill::emulator {
namespace {

const std::map<std::string_view, Decode>& all_operations() {
  static const std::map<std::string_view, Decode> kTable = [] {
    std::map<std::string_view, Decode> table;
    for (const auto& family :
         {arithmetic_operations(), bit_operations(), compare_operations(), convert_operations(),
          move_operations(), memory_operations(), async_operations(), atomic_operations(),
          matrix_operations(), warp_operations(), control_operations()}) {
      for (const Operation& operation : family) table.emplace(operation.name, operation.decode);
    }
    return table;
  }();
  return kTable;
}

}  // namespace

Decode find_operation(std::string_view name) {
  const auto found = all_operations().find(name);
  return found == all_operations().end() ? nullptr : found->second;
}

std::vector<std::string_view> operation_names() {
  std::vector<std::string_view> names;
  for (const auto& [name, decode] : all_operations()) names.push_back(name);
  return names;
}

void run_nothing(Warp&, const Instruction&, uint32_t) {}

}  // namespace gristmill::emulator

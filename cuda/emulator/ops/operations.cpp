#include "emulator/ops/operations.hpp"

#include <unordered_map>

namespace gristmill::emulator {

Decode find_operation(std::string_view name) {
  static const std::unordered_map<std::string_view, Decode> kTable = [] {
    std::unordered_map<std::string_view, Decode> table;
    for (const auto& family :
         {arithmetic_operations(), bit_operations(), compare_operations(), convert_operations(),
          move_operations(), memory_operations(), async_operations(), atomic_operations(),
          matrix_operations(), warp_operations(), control_operations()}) {
      for (const Operation& operation : family) table.emplace(operation.name, operation.decode);
    }
    return table;
  }();
  const auto found = kTable.find(name);
  return found == kTable.end() ? nullptr : found->second;
}

}  // namespace gristmill::emulator

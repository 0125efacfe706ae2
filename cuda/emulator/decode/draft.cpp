#include "emulator/decode/draft.hpp"

namespace gristmill::emulator {

Draft::Draft(const std::vector<Type>& declared, const Symbols& globals)
    : registers(static_cast<uint32_t>(declared.size())), globals_(globals) {
  bits.reserve(declared.size());
  for (const Type type : declared)
    bits.push_back(static_cast<uint8_t>(bits_of(type) == 8 ? 16 : bits_of(type)));
}

const Draft::Symbol* Draft::find_symbol(std::string_view name) const {
  const auto own = symbols.find(name);
  if (own != symbols.end()) return &own->second;
  const auto shared = globals_.find(name);
  return shared != globals_.end() ? &shared->second : nullptr;
}

uint32_t Draft::add(uint32_t width) {
  bits.push_back(static_cast<uint8_t>(width));
  return static_cast<uint32_t>(bits.size() - 1);
}

uint32_t Draft::constant(uint32_t width, uint64_t value) {
  if (width < 64) value &= (uint64_t{1} << width) - 1;
  const auto [found, is_new] = constants_.try_emplace({width, value}, 0);
  if (is_new) {
    found->second = add(width);
    kernel.constants.push_back({found->second, width, value});
  }
  return found->second;
}

uint32_t Draft::special(Special special, uint32_t width) {
  const auto [found, is_new] = specials_.try_emplace({special, width}, 0);
  if (is_new) {
    found->second = add(width);
    kernel.specials.push_back({found->second, width, special});
  }
  return found->second;
}

uint32_t Draft::sink(uint32_t width) {
  const auto [found, is_new] = sinks_.try_emplace(width, 0);
  if (is_new) found->second = add(width);
  return found->second;
}

}  // namespace gristmill::emulator

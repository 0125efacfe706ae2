#include "emulator/ptx/type.hpp"

#include <array>
#include <cstddef>

namespace gristmill::emulator {
namespace {

constexpr std::array<std::string_view, 21> kNames = {"",     "pred",  "b8",     "u8",  "s8",  "b16", "u16",
                                                     "s16",  "f16",   "bf16",   "b32", "u32", "s32", "f32",
                                                     "tf32", "f16x2", "bf16x2", "b64", "u64", "s64", "f64"};

}  // namespace

Type parse_type(std::string_view name) {
  for (size_t i = 1; i < kNames.size(); ++i) {
    if (kNames[i] == name) return static_cast<Type>(i);
  }
  return Type::none;
}

}  // namespace gristmill::emulator

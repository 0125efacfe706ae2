#pragma once

// The scalar types of PTX.

#include <cstdint>
#include <string_view>

namespace gristmill::emulator {

enum class Type : uint8_t {
  none,
  pred,
  b8,
  u8,
  s8,
  b16,
  u16,
  s16,
  f16,
  bf16,
  b32,
  u32,
  s32,
  f32,
  tf32,
  f16x2,
  bf16x2,
  b64,
  u64,
  s64,
  f64,
};

/// The type that a name without its dot stands for ("f32"); none for any other name.
Type parse_type(std::string_view name);

/// Bits of a value; 1 for a predicate, 0 for none.
constexpr uint32_t bits_of(Type type) {
  if (type == Type::none) return 0;
  if (type == Type::pred) return 1;
  return type < Type::b16 ? 8 : type < Type::b32 ? 16 : type < Type::b64 ? 32 : 64;
}
constexpr uint32_t bytes_of(Type type) { return bits_of(type) / 8; }

constexpr bool is_signed(Type type) {
  return type == Type::s8 || type == Type::s16 || type == Type::s32 || type == Type::s64;
}
constexpr bool is_float(Type type) {
  return type == Type::f16 || type == Type::bf16 || type == Type::f32 || type == Type::tf32 ||
         type == Type::f16x2 || type == Type::bf16x2 || type == Type::f64;
}

/// Numbers of 16 bits and pairs of them.
constexpr bool is_half(Type type) {
  return type == Type::f16 || type == Type::bf16 || type == Type::f16x2 || type == Type::bf16x2;
}
constexpr bool is_brain(Type type) { return type == Type::bf16 || type == Type::bf16x2; }

}  // namespace gristmill::emulator

// cvt: integers to integers as plain loops, everything else through the exact value of the source.

#include <bit>
#include <cmath>

#include "emulator/numeric.hpp"
#include "emulator/ops/lanes.hpp"
#include "emulator/ops/operations.hpp"

namespace gristmill::emulator {
namespace {

/// A lane of a register of 2, 4 or 8 bytes.
uint64_t read_bits(const std::byte* reg, uint32_t bytes, size_t i) {
  return bytes == 2 ? get<uint16_t>(reg, i) : bytes == 4 ? get<uint32_t>(reg, i) : get<uint64_t>(reg, i);
}
void write_bits(std::byte* reg, uint32_t bytes, size_t i, uint64_t value) {
  if (bytes == 2) put<uint16_t>(reg, i, static_cast<uint16_t>(value));
  if (bytes == 4) put<uint32_t>(reg, i, static_cast<uint32_t>(value));
  if (bytes == 8) put<uint64_t>(reg, i, value);
}

/// The lower bits of a value as a number of an integer type, widened to 64 bits.
uint64_t widen(uint64_t bits, Type type) {
  const uint32_t unused = 64 - bits_of(type);
  if (is_signed(type)) return static_cast<uint64_t>(static_cast<int64_t>(bits << unused) >> unused);
  return bits << unused >> unused;
}

/// As C++ converts: integers of all widths (the source's type decides how it is widened), and integers to
/// floating-point numbers, to nearest. For types as wide as their registers.
template <class From, class To>
void run_cast(Warp& warp, const Instruction& in, uint32_t mask) {
  const std::byte* a = warp.at(in.src[0]);
  each_lane<To>(warp.at(in.dst), mask, [&](size_t i) { return static_cast<To>(get<From>(a, i)); });
}

/// Also for 8 bits in wider registers, and .sat: in.mode and in.bytes are the registers' widths.
void run_any_integer(Warp& warp, const Instruction& in, uint32_t mask) {
  const std::byte* a = warp.at(in.src[0]);
  std::byte* dst = warp.at(in.dst);
  for_lanes(mask, [&](uint32_t lane) {
    uint64_t value = widen(read_bits(a, in.mode, lane), in.from);
    if (in.saturate) {
      const uint32_t bits = bits_of(in.type);
      const uint64_t top = is_signed(in.type) ? (uint64_t{1} << (bits - 1)) - 1 : ~uint64_t{0} >> (64 - bits);
      const bool negative = is_signed(in.from) && static_cast<int64_t>(value) < 0;
      if (negative && !is_signed(in.type)) value = 0;
      if (negative && is_signed(in.type) && static_cast<int64_t>(value) < -static_cast<int64_t>(top) - 1)
        value = ~top;
      if (!negative && value > top) value = top;
    }
    write_bits(dst, in.bytes, lane, widen(value, in.type));
  });
}

template <class From>
Handler integer_to(Type type) {
  switch (bits_of(type)) {
    case 16:
      return run_cast<From, uint16_t>;
    case 32:
      return run_cast<From, uint32_t>;
    default:
      return run_cast<From, uint64_t>;
  }
}

Handler integer_handler(Type from, Type to) {
  switch (from) {
    case Type::u16:
      return integer_to<uint16_t>(to);
    case Type::s16:
      return integer_to<int16_t>(to);
    case Type::u32:
      return integer_to<uint32_t>(to);
    case Type::s32:
      return integer_to<int32_t>(to);
    case Type::u64:
      return integer_to<uint64_t>(to);
    case Type::s64:
      return integer_to<int64_t>(to);
    default:
      return nullptr;
  }
}

/// The source's value as a double, rounded to odd where it has more than 53 bits: for results of fewer bits.
double exact_value(uint64_t bits, Type type) {
  switch (type) {
    case Type::f16:
    case Type::bf16:
      return half_to_f32(type, static_cast<uint32_t>(bits));
    case Type::tf32:
    case Type::f32:
      return std::bit_cast<float>(static_cast<uint32_t>(bits));
    case Type::f64:
      return std::bit_cast<double>(bits);
    default:
      break;
  }
  const uint64_t value = widen(bits, type);
  if (is_signed(type) && static_cast<int64_t>(value) < 0) return -integer_to_odd(0 - value);
  return integer_to_odd(value);
}

double round_to_integer(double x, Rounding rounding) {
  switch (rounding) {
    case Rounding::zero:
      return std::trunc(x);
    case Rounding::down:
      return std::floor(x);
    case Rounding::up:
      return std::ceil(x);
    default:
      return std::nearbyint(x);
  }
}

/// Out of range becomes the nearest number there is; NaN becomes 0, and of 64 bits the highest alone.
uint64_t to_integer(double x, Type type, Rounding rounding) {
  const uint32_t bits = bits_of(type);
  if (std::isnan(x)) return bits == 64 ? uint64_t{1} << 63 : 0;
  const double whole = round_to_integer(x, rounding);
  const double limit = std::ldexp(1.0, static_cast<int>(is_signed(type) ? bits - 1 : bits));
  if (whole >= limit) return is_signed(type) ? (uint64_t{1} << (bits - 1)) - 1 : ~uint64_t{0} >> (64 - bits);
  if (whole < 0 && !is_signed(type)) return 0;
  if (whole < -limit) return ~((uint64_t{1} << (bits - 1)) - 1);
  return whole < 0 ? static_cast<uint64_t>(static_cast<int64_t>(whole)) : static_cast<uint64_t>(whole);
}

uint64_t to_float(double x, const Instruction& in) {
  if (in.saturate) x = x > 0 ? (x < 1 ? x : 1) : 0;
  if (in.relu) x = x > 0 || x != x ? x : 0;
  switch (in.type) {
    case Type::f16:
      return encode(x, kF16, in.rounding);
    case Type::bf16:
      return encode(x, kBf16, in.rounding);
    case Type::tf32:
      return encode(x, kTf32, in.rounding);
    case Type::f32:
      return std::bit_cast<uint32_t>(round_f32(x, in.rounding));
    default:
      return std::bit_cast<uint64_t>(canonical(x));
  }
}

/// in.mode and in.bytes are the registers' widths; in.transposed: rounded to an integer in the format.
void run_general(Warp& warp, const Instruction& in, uint32_t mask) {
  const std::byte* a = warp.at(in.src[0]);
  std::byte* dst = warp.at(in.dst);
  for_lanes(mask, [&](uint32_t lane) {
    double x = exact_value(read_bits(a, in.mode, lane), in.from);
    if (in.flush && in.from == Type::f32) x = flush(static_cast<float>(x));
    if (!is_float(in.type))
      return write_bits(dst, in.bytes, lane, widen(to_integer(x, in.type, in.rounding), in.type));
    if (in.transposed) x = round_to_integer(x, in.rounding);
    uint64_t result = to_float(x, in);
    if (in.flush && in.type == Type::f32) {
      result = std::bit_cast<uint32_t>(flush(std::bit_cast<float>(static_cast<uint32_t>(result))));
    }
    write_bits(dst, in.bytes, lane, result);
  });
}

/// Two floats to a pair of 16 bits, the first in the upper half.
void run_pair(Warp& warp, const Instruction& in, uint32_t mask) {
  const std::byte *a = warp.at(in.src[0]), *b = warp.at(in.src[1]);
  if (in.type == Type::bf16x2 && in.rounding == Rounding::nearest && !in.relu) {
    each_lane<uint32_t>(warp.at(in.dst), mask, [&](size_t i) {
      return uint32_t{f32_to_bf16(get<float>(a, i))} << 16 | f32_to_bf16(get<float>(b, i));
    });
    return;
  }
  const auto one = [&](float x) {
    const float kept = in.relu && !(x > 0 || x != x) ? 0 : x;
    return encode(kept, half_format(in.type), in.rounding);
  };
  only_lanes<uint32_t>(warp.at(in.dst), mask,
                       [&](size_t i) { return one(get<float>(a, i)) << 16 | one(get<float>(b, i)); });
}

void decode_pair(Decoder& d) {
  if (d.in.from != Type::f32) d.refuse("pairs are made of .f32");
  d.in.run = run_pair;
  d.expect_operands(3, 3);
  d.in.src[0] = d.value(1, 32);
  d.in.src[1] = d.value(2, 32);
  d.in.dst = d.result(0, 32);
}

Handler choose(Decoder& d) {
  const Type to = d.in.type, from = d.in.from;
  const bool canonical_widths = d.in.mode == bytes_of(from) && d.in.bytes == bytes_of(to);
  if (!is_float(to) && !is_float(from)) {
    const Handler handler = canonical_widths && !d.in.saturate ? integer_handler(from, to) : nullptr;
    return handler != nullptr ? handler : run_any_integer;
  }
  const bool plain =
      canonical_widths && d.in.rounding == Rounding::nearest && !d.in.saturate && !d.in.relu && !d.in.flush;
  if (plain && to == Type::f32 && from == Type::s32) return run_cast<int32_t, float>;
  if (plain && to == Type::f32 && from == Type::u32) return run_cast<uint32_t, float>;
  if (plain && to == Type::f64 && from == Type::s64) return run_cast<int64_t, double>;
  if (plain && to == Type::f64 && from == Type::u64) return run_cast<uint64_t, double>;
  return run_general;
}

/// Which roundings a conversion needs: .rni … where its result is whole, .rn … where it may be inexact.
void decode_rounding(Decoder& d) {
  const auto whole = d.take_rounding(true), inexact = d.take_rounding();
  if (whole.has_value() && inexact.has_value()) d.refuse("two roundings");
  const bool to_whole = is_float(d.in.from) && !is_float(d.in.type);
  if (to_whole && !whole.has_value()) d.refuse("the rounding to an integer is missing");
  if (whole.has_value() && !is_float(d.in.from)) d.refuse("integers need no rounding to integers");
  d.in.rounding = whole.value_or(inexact.value_or(Rounding::nearest));
  d.in.transposed = whole.has_value() && is_float(d.in.type);
  if (d.in.type == Type::f64 && inexact.value_or(Rounding::nearest) != Rounding::nearest)
    d.refuse("f64 is rounded to nearest only");
}

void decode_cvt(Decoder& d) {
  d.in.from = d.take_type();
  d.in.type = d.take_type();
  decode_rounding(d);
  d.in.flush = d.take("ftz");
  d.in.saturate = d.take("sat");
  d.in.relu = d.take("relu");
  if (d.in.type == Type::f16x2 || d.in.type == Type::bf16x2) return decode_pair(d);
  if (d.in.from == Type::f16x2 || d.in.from == Type::bf16x2 || d.in.from == Type::pred ||
      d.in.type == Type::pred) {
    d.refuse("type not supported");
  }
  if (d.in.type == Type::f64 && !is_float(d.in.from) && (d.in.saturate || d.in.relu || d.in.flush))
    d.refuse("integers become f64 without .sat, .relu and .ftz");
  d.expect_operands(2, 2);
  uint32_t from_bits = 0, to_bits = 0;
  d.in.src[0] = d.wide_value(d.operand(1), d.in.from, from_bits);
  d.in.dst = d.wide_result(d.operand(0), d.in.type, to_bits);
  d.in.mode = static_cast<uint8_t>(from_bits / 8);
  d.in.bytes = static_cast<uint8_t>(to_bits / 8);
  d.in.run = choose(d);
}

constexpr Operation kOperations[] = {{"cvt", decode_cvt}};

}  // namespace

std::span<const Operation> convert_operations() { return kOperations; }

}  // namespace gristmill::emulator

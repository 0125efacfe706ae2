// Decodes arithmetic: which number format, which modifiers.

#include "emulator/ops/arithmetic.hpp"

#include "emulator/ops/lanes.hpp"
#include "emulator/ops/operations.hpp"

namespace gristmill::emulator {
namespace {

bool is_choice(Arithmetic operation) { return operation == Arithmetic::min || operation == Arithmetic::max; }

void operands(Decoder& d, size_t sources, uint32_t bits) {
  d.expect_operands(sources + 1, sources + 1);
  for (size_t i = 0; i < sources; ++i) d.in.src[i] = d.value(i + 1, bits);
  d.in.dst = d.result(0, bits);
}

void choose(Decoder& d, Handler handler) {
  if (handler == nullptr) d.refuse("this operation does not exist for this type, or is not supported");
  d.in.run = handler;
}

void decode_float(Decoder& d, Arithmetic operation, size_t sources) {
  const auto rounding = d.take_rounding();
  d.in.rounding = rounding.value_or(Rounding::nearest);
  d.in.flush = d.take("ftz");
  d.in.saturate = d.take("sat");
  d.in.keeps_nan = is_choice(operation) && d.take("NaN");
  if (operation == Arithmetic::div && (d.take("approx") || d.take("full"))) d.in.rounding = Rounding::nearest;
  const bool exact = d.in.rounding == Rounding::nearest && !d.in.flush && !d.in.saturate && !d.in.keeps_nan;
  if (d.in.type == Type::f64 && !exact) d.refuse("f64 is rounded to nearest only");
  if (operation == Arithmetic::div && d.in.rounding != Rounding::nearest)
    d.refuse("division is rounded to nearest only");
  choose(d, float_arithmetic(operation, d.in.type, exact));
  operands(d, sources, bits_of(d.in.type));
}

void decode_half(Decoder& d, Arithmetic operation, size_t sources) {
  const auto rounding = d.take_rounding();
  if (rounding.value_or(Rounding::nearest) != Rounding::nearest) d.refuse("rounded to nearest only");
  d.in.saturate = d.take("sat");
  d.in.relu = d.take("relu");
  d.in.keeps_nan = is_choice(operation) && d.take("NaN");
  choose(d, half_arithmetic(operation, d.in.type));
  operands(d, sources, bits_of(d.in.type));
}

void decode_any(Decoder& d, Arithmetic operation, size_t sources) {
  d.in.type = d.take_type();
  if (is_half(d.in.type)) return decode_half(d, operation, sources);
  if (is_float(d.in.type)) return decode_float(d, operation, sources);
  choose(d, integer_arithmetic(operation, d.in.type));
  operands(d, sources, bits_of(d.in.type));
}

void decode_add(Decoder& d) { decode_any(d, Arithmetic::add, 2); }
void decode_sub(Decoder& d) { decode_any(d, Arithmetic::sub, 2); }
void decode_min(Decoder& d) { decode_any(d, Arithmetic::min, 2); }
void decode_max(Decoder& d) { decode_any(d, Arithmetic::max, 2); }
void decode_div(Decoder& d) { decode_any(d, Arithmetic::div, 2); }
void decode_rem(Decoder& d) { decode_any(d, Arithmetic::rem, 2); }
void decode_neg(Decoder& d) { decode_any(d, Arithmetic::neg, 1); }
void decode_abs(Decoder& d) { decode_any(d, Arithmetic::abs, 1); }
void decode_fma(Decoder& d) { decode_any(d, Arithmetic::fma, 3); }

/// mul and mad: .lo, .hi, .wide of integers; mad of floats is fma.
void decode_product(Decoder& d, bool add) {
  const size_t sources = add ? 3 : 2;
  if (is_float(d.last_type())) return decode_any(d, add ? Arithmetic::fma : Arithmetic::mul, sources);
  d.in.type = d.take_type();
  const uint32_t bits = bits_of(d.in.type);
  if (d.take("wide")) {
    choose(d, integer_arithmetic(add ? Arithmetic::mad_wide : Arithmetic::mul_wide, d.in.type));
    d.expect_operands(sources + 1, sources + 1);
    d.in.src[0] = d.value(1, bits);
    d.in.src[1] = d.value(2, bits);
    if (add) d.in.src[2] = d.value(3, 2 * bits);
    d.in.dst = d.result(0, 2 * bits);
    return;
  }
  const bool high = d.take("hi");
  if (!high && !d.take("lo")) d.refuse("expected .lo, .hi or .wide");
  const Arithmetic low = add ? Arithmetic::mad : Arithmetic::mul,
                   upper = add ? Arithmetic::mad_hi : Arithmetic::mul_hi;
  choose(d, integer_arithmetic(high ? upper : low, d.in.type));
  operands(d, sources, bits);
}

void decode_mul(Decoder& d) { decode_product(d, false); }
void decode_mad(Decoder& d) { decode_product(d, true); }

/// A sum of four products of bytes.
void run_dp4a(Warp& warp, const Instruction& in, uint32_t mask) {
  const auto byte = [](uint32_t word, uint32_t index, Type type) {
    const auto bits = static_cast<uint8_t>(word >> (8 * index));
    return type == Type::s32 ? int32_t{static_cast<int8_t>(bits)} : int32_t{bits};
  };
  each_of_three<uint32_t>(warp, in, mask, [&](uint32_t a, uint32_t b, uint32_t c) {
    int64_t sum = 0;
    for (uint32_t k = 0; k < 4; ++k) sum += int64_t{byte(a, k, in.type)} * byte(b, k, in.from);
    return static_cast<uint32_t>(c + static_cast<uint64_t>(sum));
  });
}

void decode_dp4a(Decoder& d) {
  d.in.from = d.take_type();
  d.in.type = d.take_type();
  for (const Type type : {d.in.from, d.in.type}) {
    if (type != Type::s32 && type != Type::u32) d.refuse("expected .s32 or .u32");
  }
  d.in.run = run_dp4a;
  operands(d, 3, 32);
}

/// |a − b| + c
template <class T>
void run_sad(Warp& warp, const Instruction& in, uint32_t mask) {
  each_of_three<T>(warp, in, mask, [](T a, T b, T c) {
    const auto less = static_cast<uint64_t>(a < b ? a : b), more = static_cast<uint64_t>(a < b ? b : a);
    return static_cast<T>(more - less + static_cast<uint64_t>(c));
  });
}

void decode_sad(Decoder& d) {
  d.in.type = d.take_type();
  d.in.run = d.in.type == Type::s32   ? run_sad<int32_t>
             : d.in.type == Type::u32 ? run_sad<uint32_t>
             : d.in.type == Type::s64 ? run_sad<int64_t>
             : d.in.type == Type::u64 ? run_sad<uint64_t>
                                      : nullptr;
  if (d.in.run == nullptr) d.refuse("type not supported");
  operands(d, 3, bits_of(d.in.type));
}

/// Functions of one number. What is approximate on hardware is accurate here.
void decode_function(Decoder& d, Function function) {
  d.in.type = d.take_type();
  const bool rounded = d.take_rounding().value_or(Rounding::nearest) != Rounding::nearest;
  if (rounded) d.refuse("rounded to nearest only");
  d.take("approx");
  d.in.flush = d.take("ftz");
  choose(d, function_handler(function, d.in.type));
  operands(d, 1, bits_of(d.in.type));
}

void decode_ex2(Decoder& d) { decode_function(d, Function::ex2); }
void decode_lg2(Decoder& d) { decode_function(d, Function::lg2); }
void decode_rcp(Decoder& d) { decode_function(d, Function::rcp); }
void decode_rsqrt(Decoder& d) { decode_function(d, Function::rsqrt); }
void decode_sqrt(Decoder& d) { decode_function(d, Function::sqrt); }
void decode_sin(Decoder& d) { decode_function(d, Function::sin); }
void decode_cos(Decoder& d) { decode_function(d, Function::cos); }
void decode_tanh(Decoder& d) { decode_function(d, Function::tanh); }

template <class Bits>
void run_copysign(Warp& warp, const Instruction& in, uint32_t mask) {
  constexpr Bits kSign = Bits{1} << (8 * sizeof(Bits) - 1);
  const std::byte *a = warp.at(in.src[0]), *b = warp.at(in.src[1]);
  each_lane<Bits>(warp.at(in.dst), mask, [&](size_t i) {
    return static_cast<Bits>((get<Bits>(a, i) & kSign) | (get<Bits>(b, i) & ~kSign));
  });
}

void decode_copysign(Decoder& d) {
  d.in.type = d.take_type();
  if (d.in.type != Type::f32 && d.in.type != Type::f64) d.refuse("expected .f32 or .f64");
  d.in.run = d.in.type == Type::f32 ? run_copysign<uint32_t> : run_copysign<uint64_t>;
  operands(d, 2, bits_of(d.in.type));
}

constexpr Operation kOperations[] = {
    {"add", decode_add},     {"sub", decode_sub},          {"mul", decode_mul}, {"mad", decode_mad},
    {"fma", decode_fma},     {"div", decode_div},          {"rem", decode_rem}, {"min", decode_min},
    {"max", decode_max},     {"neg", decode_neg},          {"abs", decode_abs}, {"dp4a", decode_dp4a},
    {"sad", decode_sad},     {"ex2", decode_ex2},          {"lg2", decode_lg2}, {"rcp", decode_rcp},
    {"rsqrt", decode_rsqrt}, {"sqrt", decode_sqrt},        {"sin", decode_sin}, {"cos", decode_cos},
    {"tanh", decode_tanh},   {"copysign", decode_copysign}};

}  // namespace

std::span<const Operation> arithmetic_operations() { return kOperations; }

}  // namespace gristmill::emulator

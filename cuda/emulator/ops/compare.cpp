// Comparisons and selections.

#include <cmath>
#include <type_traits>

#include "emulator/numeric.hpp"
#include "emulator/ops/lanes.hpp"
#include "emulator/ops/operations.hpp"

namespace gristmill::emulator {
namespace {

template <Compare kCompare, class T>
bool holds(T a, T b) {
  if constexpr (std::is_integral_v<T> && kCompare > Compare::ge) return false;  // refused when it is decoded
  if constexpr (kCompare == Compare::eq) return a == b;
  if constexpr (kCompare == Compare::lt) return a < b;
  if constexpr (kCompare == Compare::le) return a <= b;
  if constexpr (kCompare == Compare::gt) return a > b;
  if constexpr (kCompare == Compare::ge) return a >= b;
  if constexpr (kCompare == Compare::ne) return a < b || a > b;  // false for NaN
  if constexpr (kCompare == Compare::equ) return !(a < b || a > b);
  if constexpr (kCompare == Compare::neu) return a != b;
  if constexpr (kCompare == Compare::ltu) return !(a >= b);
  if constexpr (kCompare == Compare::leu) return !(a > b);
  if constexpr (kCompare == Compare::gtu) return !(a <= b);
  if constexpr (kCompare == Compare::geu) return !(a < b);
  if constexpr (kCompare == Compare::num) return a == a && b == b;
  if constexpr (kCompare == Compare::nan) return a != a || b != b;
}

/// The values of a register as T: numbers of 16 bits as float.
template <class T>
T read(const Instruction& in, const std::byte* reg, size_t i) {
  if constexpr (std::is_same_v<T, float>) {
    if (is_half(in.type)) return half_to_f32(in.type, get<uint16_t>(reg, i));
    if (in.flush) return flush(get<float>(reg, i));
  }
  return get<T>(reg, i);
}

template <Compare kCompare, class T>
uint32_t compare_lanes(Warp& warp, const Instruction& in) {
  const std::byte *a = warp.at(in.src[0]), *b = warp.at(in.src[1]);
  if constexpr (std::is_same_v<T, float>) {
    if (in.type != Type::f32 || in.flush) {
      return lane_bits([&](size_t i) { return holds<kCompare, T>(read<T>(in, a, i), read<T>(in, b, i)); });
    }
  }
  return lane_bits([&](size_t i) { return holds<kCompare, T>(get<T>(a, i), get<T>(b, i)); });
}

/// body.operator()<compare>(), for a comparison that is known only now.
template <class Body>
auto with_compare(Compare compare, const Body& body) {
  switch (compare) {
    case Compare::eq:
      return body.template operator()<Compare::eq>();
    case Compare::ne:
      return body.template operator()<Compare::ne>();
    case Compare::lt:
      return body.template operator()<Compare::lt>();
    case Compare::le:
      return body.template operator()<Compare::le>();
    case Compare::gt:
      return body.template operator()<Compare::gt>();
    case Compare::ge:
      return body.template operator()<Compare::ge>();
    case Compare::equ:
      return body.template operator()<Compare::equ>();
    case Compare::neu:
      return body.template operator()<Compare::neu>();
    case Compare::ltu:
      return body.template operator()<Compare::ltu>();
    case Compare::leu:
      return body.template operator()<Compare::leu>();
    case Compare::gtu:
      return body.template operator()<Compare::gtu>();
    case Compare::geu:
      return body.template operator()<Compare::geu>();
    case Compare::num:
      return body.template operator()<Compare::num>();
    case Compare::nan:
      break;
  }
  return body.template operator()<Compare::nan>();
}

bool compare_one(Compare compare, float a, float b) {
  return with_compare(compare, [&]<Compare kCompare>() { return holds<kCompare, float>(a, b); });
}

template <class T>
uint32_t compare_as(Warp& warp, const Instruction& in) {
  return with_compare(in.compare, [&]<Compare kCompare>() { return compare_lanes<kCompare, T>(warp, in); });
}

/// The result of a comparison, combined with the predicate of the fourth operand.
uint32_t combined(Warp& warp, const Instruction& in, uint32_t bits) {
  if (in.combine == Combine::none) return bits;
  uint32_t other = predicate(warp.at(in.src[2]));
  if (in.source_negated) other = ~other;
  if (in.combine == Combine::logic_and) return bits & other;
  return in.combine == Combine::logic_or ? bits | other : bits ^ other;
}

template <class T>
void run_setp(Warp& warp, const Instruction& in, uint32_t mask) {
  const uint32_t bits = compare_as<T>(warp, in);
  const uint32_t first = combined(warp, in, bits), second = combined(warp, in, ~bits);
  put_predicate(warp.at(in.dst), mask, first);
  if (in.dst2 != kNone) put_predicate(warp.at(in.dst2), mask, second);
}

/// set: 1.0 or all ones, in the type of the result (in.from).
template <class T>
void run_set(Warp& warp, const Instruction& in, uint32_t mask) {
  const uint32_t bits = combined(warp, in, compare_as<T>(warp, in));
  std::byte* dst = warp.at(in.dst);
  const uint32_t one = in.from == Type::f32    ? 0x3f800000u
                       : in.from == Type::f16  ? 0x3c00u
                       : in.from == Type::bf16 ? 0x3f80u
                                               : 0xffffffffu;
  const auto value = [&](size_t i) { return (bits >> i & 1) != 0 ? one : 0; };
  if (bits_of(in.from) == 16) {
    each_lane<uint16_t>(dst, mask, [&](size_t i) { return static_cast<uint16_t>(value(i)); });
  } else {
    each_lane<uint32_t>(dst, mask, value);
  }
}

/// set on pairs: each half gives 1.0 or, for .u32, all ones of its 16 bits.
void run_set_pair(Warp& warp, const Instruction& in, uint32_t mask) {
  const std::byte *a = warp.at(in.src[0]), *b = warp.at(in.src[1]);
  const uint32_t one = in.from == Type::f16x2 ? 0x3c00u : in.from == Type::bf16x2 ? 0x3f80u : 0xffffu;
  const auto half = [&](uint32_t bits) { return half_to_f32(in.type, bits); };
  only_lanes<uint32_t>(warp.at(in.dst), mask, [&](size_t i) {
    const auto x = get<uint32_t>(a, i), y = get<uint32_t>(b, i);
    const uint32_t low = compare_one(in.compare, half(x), half(y)) ? one : 0;
    const uint32_t high = compare_one(in.compare, half(x >> 16), half(y >> 16)) ? one : 0;
    return low | high << 16;
  });
}

template <template <class> class Run>
Handler by_type(Type type) {
  switch (type) {
    case Type::b16:
    case Type::u16:
      return Run<uint16_t>::run;
    case Type::s16:
      return Run<int16_t>::run;
    case Type::b32:
    case Type::u32:
      return Run<uint32_t>::run;
    case Type::s32:
      return Run<int32_t>::run;
    case Type::b64:
    case Type::u64:
      return Run<uint64_t>::run;
    case Type::s64:
      return Run<int64_t>::run;
    case Type::f16:
    case Type::bf16:
    case Type::f32:
      return Run<float>::run;
    case Type::f64:
      return Run<double>::run;
    default:
      return nullptr;
  }
}
template <class T>
struct Setp {
  static void run(Warp& warp, const Instruction& in, uint32_t mask) { run_setp<T>(warp, in, mask); }
};
template <class T>
struct Set {
  static void run(Warp& warp, const Instruction& in, uint32_t mask) { run_set<T>(warp, in, mask); }
};

void decode_compare(Decoder& d) {
  const std::string_view compares[] = {"eq",  "ne",  "lt",  "le",  "gt",  "ge",  "equ",
                                       "neu", "ltu", "leu", "gtu", "geu", "num", "nan"};
  const std::string_view unsigned_names[] = {"lo", "ls", "hi", "hs"}, combines[] = {"and", "or", "xor"};
  d.in.flush = d.take("ftz");
  if (const auto compare = d.take_one(compares)) {
    d.in.compare = static_cast<Compare>(*compare);
  } else if (const auto order = d.take_one(unsigned_names)) {
    d.in.compare = static_cast<Compare>(static_cast<int>(Compare::lt) + *order);
  } else {
    d.refuse("expected a comparison");
  }
  if (d.in.compare > Compare::ge && !is_float(d.in.type))
    d.refuse("this comparison is for floating-point numbers");
  const auto combine = d.take_one(combines);
  d.expect_operands(combine.has_value() ? 4 : 3, combine.has_value() ? 4 : 3);
  if (combine.has_value()) {
    d.in.combine = static_cast<Combine>(*combine + 1);
    d.in.src[2] = d.predicate(3);
  }
  d.in.src[0] = d.value(1, bits_of(d.in.type));
  d.in.src[1] = d.value(2, bits_of(d.in.type));
}

void decode_setp(Decoder& d) {
  d.in.type = d.take_type();
  d.in.run = by_type<Setp>(d.in.type);
  if (d.in.run == nullptr) d.refuse("type not supported");
  decode_compare(d);
  d.in.dst = d.result(0, 1);
  d.in.dst2 = d.second_predicate(0);
}

void decode_set(Decoder& d) {
  d.in.type = d.take_type();
  d.in.from = d.take_type();
  if (d.in.type == Type::f16x2 || d.in.type == Type::bf16x2) {
    if (d.in.from != d.in.type && d.in.from != Type::u32) d.refuse("type not supported");
    d.in.run = run_set_pair;
    decode_compare(d);
    if (d.in.combine != Combine::none) d.refuse("pairs cannot be combined with a predicate");
    d.in.dst = d.result(0, 32);
    return;
  }
  d.in.run = by_type<Set>(d.in.type);
  const bool known = d.in.from == Type::f32 || d.in.from == Type::f16 || d.in.from == Type::bf16 ||
                     d.in.from == Type::u32 || d.in.from == Type::s32 || d.in.from == Type::u16 ||
                     d.in.from == Type::s16;
  if (d.in.run == nullptr || !known) d.refuse("type not supported");
  decode_compare(d);
  d.in.dst = d.result(0, bits_of(d.in.from));
}

template <class T>
void run_selp(Warp& warp, const Instruction& in, uint32_t mask) {
  const std::byte *a = warp.at(in.src[0]), *b = warp.at(in.src[1]);
  uint32_t choose = predicate(warp.at(in.src[2]));
  if (in.source_negated) choose = ~choose;
  each_lane<T>(warp.at(in.dst), mask,
               [&](size_t i) { return (choose >> i & 1) != 0 ? get<T>(a, i) : get<T>(b, i); });
}

template <class T>
void run_slct(Warp& warp, const Instruction& in, uint32_t mask) {
  const std::byte *a = warp.at(in.src[0]), *b = warp.at(in.src[1]), *c = warp.at(in.src[2]);
  each_lane<T>(warp.at(in.dst), mask, [&](size_t i) {
    const bool first = in.from == Type::f32 ? get<float>(c, i) >= 0 : get<int32_t>(c, i) >= 0;
    return first ? get<T>(a, i) : get<T>(b, i);
  });
}

void decode_selp(Decoder& d) {
  d.in.type = d.take_type();
  const uint32_t bits = bits_of(d.in.type);
  d.in.run = bits == 16   ? run_selp<uint16_t>
             : bits == 32 ? run_selp<uint32_t>
             : bits == 64 ? run_selp<uint64_t>
                          : nullptr;
  if (d.in.run == nullptr) d.refuse("type not supported");
  d.expect_operands(4, 4);
  d.in.src[0] = d.value(1, bits);
  d.in.src[1] = d.value(2, bits);
  d.in.src[2] = d.predicate(3);
  d.in.dst = d.result(0, bits);
}

void decode_slct(Decoder& d) {
  d.in.from = d.take_type();
  d.in.type = d.take_type();
  if (d.in.from != Type::f32 && d.in.from != Type::s32) d.refuse("expected .f32 or .s32");
  const uint32_t bits = bits_of(d.in.type);
  d.in.run = bits == 16   ? run_slct<uint16_t>
             : bits == 32 ? run_slct<uint32_t>
             : bits == 64 ? run_slct<uint64_t>
                          : nullptr;
  if (d.in.run == nullptr) d.refuse("type not supported");
  d.expect_operands(4, 4);
  d.in.src[0] = d.value(1, bits);
  d.in.src[1] = d.value(2, bits);
  d.in.src[2] = d.value(3, 32);
  d.in.dst = d.result(0, bits);
}

constexpr Operation kOperations[] = {
    {"setp", decode_setp}, {"set", decode_set}, {"selp", decode_selp}, {"slct", decode_slct}};

}  // namespace

std::span<const Operation> compare_operations() { return kOperations; }

}  // namespace gristmill::emulator

// Logic, shifts and bit fields.

#include <algorithm>
#include <bit>
#include <type_traits>

#include "emulator/ops/lanes.hpp"
#include "emulator/ops/operations.hpp"

namespace gristmill::emulator {
namespace {

enum class Logic : uint8_t { conjunction, disjunction, exclusive, negation };

template <Logic kOp, class T>
T apply(T a, T b) {
  if constexpr (kOp == Logic::conjunction) return static_cast<T>(a & b);
  if constexpr (kOp == Logic::disjunction) return static_cast<T>(a | b);
  if constexpr (kOp == Logic::exclusive) return static_cast<T>(a ^ b);
  if constexpr (kOp == Logic::negation) return static_cast<T>(~a);
}

template <Logic kOp, class T>
void run_logic(Warp& warp, const Instruction& in, uint32_t mask) {
  each_of_three<T>(warp, in, mask, [](T a, T b, T) { return apply<kOp, T>(a, b); });
}

template <Logic kOp>
void run_logic_predicate(Warp& warp, const Instruction& in, uint32_t mask) {
  const uint32_t a = predicate(warp.at(in.src[0])),
                 b = in.src[1] == kNone ? a : predicate(warp.at(in.src[1]));
  put_predicate(warp.at(in.dst), mask, apply<kOp, uint32_t>(a, b));
}

template <Logic kOp>
void decode_logic(Decoder& d) {
  d.in.type = d.take_type();
  const uint32_t bits = bits_of(d.in.type);
  switch (bits) {
    case 1:
      d.in.run = run_logic_predicate<kOp>;
      break;
    case 16:
      d.in.run = run_logic<kOp, uint16_t>;
      break;
    case 32:
      d.in.run = run_logic<kOp, uint32_t>;
      break;
    case 64:
      d.in.run = run_logic<kOp, uint64_t>;
      break;
    default:
      d.refuse("type not supported");
  }
  const size_t sources = kOp == Logic::negation ? 1 : 2;
  d.expect_operands(sources + 1, sources + 1);
  for (size_t i = 0; i < sources; ++i) d.in.src[i] = d.value(i + 1, bits);
  d.in.dst = d.result(0, bits);
}

/// Shifts by more than the width leave nothing, or the sign.
template <class T, bool kLeft>
void run_shift(Warp& warp, const Instruction& in, uint32_t mask) {
  constexpr uint32_t kBits = 8 * sizeof(T);
  const std::byte *a = warp.at(in.src[0]), *b = warp.at(in.src[1]);
  each_lane<T>(warp.at(in.dst), mask, [&](size_t i) {
    const T x = get<T>(a, i);
    const auto by = get<uint32_t>(b, i);
    const T gone = !kLeft && x < T{0} ? static_cast<T>(-1) : T{0};
    const uint32_t in_range = by & (kBits - 1);
    const T shifted =
        static_cast<T>(kLeft ? static_cast<T>(static_cast<uint64_t>(x) << in_range) : x >> in_range);
    return by < kBits ? shifted : gone;
  });
}

template <bool kLeft>
Handler shift_handler(Type type) {
  switch (bits_of(type)) {
    case 16:
      return !kLeft && is_signed(type) ? run_shift<int16_t, kLeft> : run_shift<uint16_t, kLeft>;
    case 32:
      return !kLeft && is_signed(type) ? run_shift<int32_t, kLeft> : run_shift<uint32_t, kLeft>;
    case 64:
      return !kLeft && is_signed(type) ? run_shift<int64_t, kLeft> : run_shift<uint64_t, kLeft>;
    default:
      return nullptr;
  }
}

template <bool kLeft>
void decode_shift(Decoder& d) {
  d.in.type = d.take_type();
  d.in.run = shift_handler<kLeft>(d.in.type);
  if (d.in.run == nullptr || is_float(d.in.type)) d.refuse("type not supported");
  d.expect_operands(3, 3);
  d.in.src[0] = d.value(1, bits_of(d.in.type));
  d.in.src[1] = d.value(2, 32);
  d.in.dst = d.result(0, bits_of(d.in.type));
}

/// Three sources of 32 bits to one result.
void decode_three(Decoder& d) {
  for (size_t i = 0; i < 3; ++i) d.in.src[i] = d.value(i + 1, 32);
  d.in.dst = d.result(0, 32);
}

/// 32 bits out of the 64 of b:a.
template <bool kLeft, bool kWrap>
void run_funnel(Warp& warp, const Instruction& in, uint32_t mask) {
  each_of_three<uint32_t>(warp, in, mask, [](uint32_t a, uint32_t b, uint32_t by) {
    const uint32_t n = kWrap ? by & 31 : (by < 32 ? by : 32);
    const uint64_t both = uint64_t{b} << 32 | a;
    return static_cast<uint32_t>(kLeft ? (both << n) >> 32 : both >> n);
  });
}

void decode_shf(Decoder& d) {
  if (d.take_type() != Type::b32) d.refuse("expected .b32");
  const bool left = d.take("l");
  if (!left && !d.take("r")) d.refuse("expected .l or .r");
  const bool wrap = d.take("wrap");
  if (!wrap && !d.take("clamp")) d.refuse("expected .wrap or .clamp");
  d.in.run = left ? (wrap ? run_funnel<true, true> : run_funnel<true, false>)
                  : (wrap ? run_funnel<false, true> : run_funnel<false, false>);
  d.expect_operands(4, 4);
  decode_three(d);
}

/// Four bytes chosen out of eight, each perhaps replaced by its sign.
void run_prmt(Warp& warp, const Instruction& in, uint32_t mask) {
  each_of_three<uint32_t>(warp, in, mask, [](uint32_t a, uint32_t b, uint32_t select) {
    const uint64_t both = uint64_t{b} << 32 | a;
    uint32_t result = 0;
    for (uint32_t i = 0; i < 4; ++i) {
      const uint32_t choice = select >> (4 * i) & 15;
      auto byte = static_cast<uint32_t>(both >> (8 * (choice & 7)) & 255);
      if ((choice & 8) != 0) byte = (byte & 128) != 0 ? 255 : 0;
      result |= byte << (8 * i);
    }
    return result;
  });
}

void decode_prmt(Decoder& d) {
  if (d.take_type() != Type::b32) d.refuse("expected .b32");
  d.in.run = run_prmt;
  d.expect_operands(4, 4);
  decode_three(d);
}

void run_lop3(Warp& warp, const Instruction& in, uint32_t mask) {
  const auto table = static_cast<uint32_t>(in.immediate);
  each_of_three<uint32_t>(warp, in, mask, [table](uint32_t a, uint32_t b, uint32_t c) {
    uint32_t result = 0;
    for (uint32_t k = 0; k < 8;
         ++k) {  // bit k of the table: the result where the bits of a, b, c are those of k
      const uint32_t here = ((k & 4) != 0 ? a : ~a) & ((k & 2) != 0 ? b : ~b) & ((k & 1) != 0 ? c : ~c);
      result |= (table >> k & 1) != 0 ? here : 0;
    }
    return result;
  });
}

void decode_lop3(Decoder& d) {
  if (d.take_type() != Type::b32) d.refuse("expected .b32");
  d.in.run = run_lop3;
  d.expect_operands(5, 5);
  decode_three(d);
  d.in.immediate = d.constant(4) & 255;
}

/// bfe: a field of a, from bit b, c bits wide; signed ones keep their sign, also beyond the highest bit.
template <class T>
void run_bfe(Warp& warp, const Instruction& in, uint32_t mask) {
  using Bits = std::make_unsigned_t<T>;
  constexpr uint32_t kBits = 8 * sizeof(T);
  const std::byte *a = warp.at(in.src[0]), *b = warp.at(in.src[1]), *c = warp.at(in.src[2]);
  only_lanes<Bits>(warp.at(in.dst), mask, [&](size_t i) {
    const T x = get<T>(a, i);
    const uint32_t from = get<uint32_t>(b, i) & 255, count = get<uint32_t>(c, i) & 255;
    if (count == 0) return Bits{0};
    const bool negative =
        T(-1) < T{0} && (static_cast<Bits>(x) >> std::min(from + count - 1, kBits - 1) & 1) != 0;
    const Bits shifted = from < kBits ? static_cast<Bits>(static_cast<Bits>(x) >> from) : Bits{0};
    const uint32_t valid = from < kBits ? std::min(count, kBits - from) : 0;  // bits that a has
    const Bits field =
        valid >= kBits ? static_cast<Bits>(~Bits{0}) : static_cast<Bits>((Bits{1} << valid) - 1);
    return static_cast<Bits>(negative ? (shifted & field) | ~field : shifted & field);
  });
}

void decode_bfe(Decoder& d) {
  d.in.type = d.take_type();
  switch (d.in.type) {
    case Type::u32:
      d.in.run = run_bfe<uint32_t>;
      break;
    case Type::s32:
      d.in.run = run_bfe<int32_t>;
      break;
    case Type::u64:
      d.in.run = run_bfe<uint64_t>;
      break;
    case Type::s64:
      d.in.run = run_bfe<int64_t>;
      break;
    default:
      d.refuse("type not supported");
  }
  d.expect_operands(4, 4);
  d.in.src[0] = d.value(1, bits_of(d.in.type));
  d.in.src[1] = d.value(2, 32);
  d.in.src[2] = d.value(3, 32);
  d.in.dst = d.result(0, bits_of(d.in.type));
}

/// bfi: a's lowest d bits into b from bit c on.
template <class T>
void run_bfi(Warp& warp, const Instruction& in, uint32_t mask) {
  constexpr uint32_t kBits = 8 * sizeof(T);
  const std::byte *a = warp.at(in.src[0]), *b = warp.at(in.src[1]), *c = warp.at(in.src[2]),
                  *e = warp.at(in.src[3]);
  each_lane<T>(warp.at(in.dst), mask, [&](size_t i) {
    const uint32_t at = get<uint32_t>(c, i) & 255, count = get<uint32_t>(e, i) & 255;
    const T field =
        count >= kBits ? static_cast<T>(~T{0}) : static_cast<T>((T{1} << (count & (kBits - 1))) - 1);
    const T place = at < kBits ? static_cast<T>(field << (at & (kBits - 1))) : T{0};
    const T moved = at < kBits ? static_cast<T>(get<T>(a, i) << (at & (kBits - 1))) : T{0};
    return static_cast<T>((get<T>(b, i) & ~place) | (moved & place));
  });
}

void decode_bfi(Decoder& d) {
  d.in.type = d.take_type();
  const uint32_t bits = bits_of(d.in.type);
  if (d.in.type != Type::b32 && d.in.type != Type::b64) d.refuse("expected .b32 or .b64");
  d.in.run = bits == 32 ? run_bfi<uint32_t> : run_bfi<uint64_t>;
  d.expect_operands(5, 5);
  d.in.src[0] = d.value(1, bits);
  d.in.src[1] = d.value(2, bits);
  d.in.src[2] = d.value(3, 32);
  d.in.src[3] = d.value(4, 32);
  d.in.dst = d.result(0, bits);
}

enum class Count : uint8_t { ones, leading_zeros, highest, highest_shift };

template <Count kCount, class T>
uint32_t count(T x, bool sign) {
  using Bits = std::make_unsigned_t<T>;
  if constexpr (kCount == Count::ones) return static_cast<uint32_t>(std::popcount(static_cast<Bits>(x)));
  if constexpr (kCount == Count::leading_zeros)
    return static_cast<uint32_t>(std::countl_zero(static_cast<Bits>(x)));
  const auto bits = static_cast<Bits>(sign && x < T{0} ? ~x : x);  // of a negative number the highest zero
  if (bits == 0) return UINT32_MAX;
  const auto zeros = static_cast<uint32_t>(std::countl_zero(bits));
  return kCount == Count::highest_shift ? zeros : static_cast<uint32_t>(8 * sizeof(T)) - 1 - zeros;
}

template <Count kCount, class T>
void run_count(Warp& warp, const Instruction& in, uint32_t mask) {
  const std::byte* a = warp.at(in.src[0]);
  const bool sign = is_signed(in.type);
  each_lane<uint32_t>(warp.at(in.dst), mask, [&](size_t i) { return count<kCount, T>(get<T>(a, i), sign); });
}

template <Count kCount>
void count_handler(Decoder& d) {
  const uint32_t bits = bits_of(d.in.type);
  if ((bits != 32 && bits != 64) || is_float(d.in.type)) d.refuse("type not supported");
  d.in.run = bits == 32 ? run_count<kCount, int32_t> : run_count<kCount, int64_t>;
  d.expect_operands(2, 2);
  d.in.src[0] = d.value(1, bits);
  d.in.dst = d.result(0, 32);
}

template <Count kCount>
void decode_count(Decoder& d) {
  d.in.type = d.take_type();
  count_handler<kCount>(d);
}

void decode_bfind(Decoder& d) {
  d.in.type = d.take_type();
  if (d.take("shiftamt")) return count_handler<Count::highest_shift>(d);
  count_handler<Count::highest>(d);
}

template <class T>
void run_brev(Warp& warp, const Instruction& in, uint32_t mask) {
  const std::byte* a = warp.at(in.src[0]);
  each_lane<T>(warp.at(in.dst), mask, [&](size_t i) {
    T x = get<T>(a, i), reversed = 0;
    for (size_t bit = 0; bit < 8 * sizeof(T); ++bit, x >>= 1)
      reversed = static_cast<T>(reversed << 1 | (x & 1));
    return reversed;
  });
}

void decode_brev(Decoder& d) {
  d.in.type = d.take_type();
  const uint32_t bits = bits_of(d.in.type);
  if (d.in.type != Type::b32 && d.in.type != Type::b64) d.refuse("expected .b32 or .b64");
  d.in.run = bits == 32 ? run_brev<uint32_t> : run_brev<uint64_t>;
  d.expect_operands(2, 2);
  d.in.src[0] = d.value(1, bits);
  d.in.dst = d.result(0, bits);
}

constexpr Operation kOperations[] = {{"and", decode_logic<Logic::conjunction>},
                                     {"or", decode_logic<Logic::disjunction>},
                                     {"xor", decode_logic<Logic::exclusive>},
                                     {"not", decode_logic<Logic::negation>},
                                     {"shl", decode_shift<true>},
                                     {"shr", decode_shift<false>},
                                     {"shf", decode_shf},
                                     {"prmt", decode_prmt},
                                     {"lop3", decode_lop3},
                                     {"bfe", decode_bfe},
                                     {"bfi", decode_bfi},
                                     {"popc", decode_count<Count::ones>},
                                     {"clz", decode_count<Count::leading_zeros>},
                                     {"bfind", decode_bfind},
                                     {"brev", decode_brev}};

}  // namespace

std::span<const Operation> bit_operations() { return kOperations; }

}  // namespace gristmill::emulator

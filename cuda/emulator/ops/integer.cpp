// Integer arithmetic. Sums and products are the same for signed and unsigned numbers in two's complement.

#include <type_traits>

#include "emulator/block.hpp"
#include "emulator/ops/arithmetic.hpp"
#include "emulator/ops/lanes.hpp"

namespace gristmill::emulator {
namespace {

template <class T>
struct Twice;
template <>
struct Twice<uint16_t> {
  using type = uint32_t;
};
template <>
struct Twice<int16_t> {
  using type = int32_t;
};
template <>
struct Twice<uint32_t> {
  using type = uint64_t;
};
template <>
struct Twice<int32_t> {
  using type = int64_t;
};
__extension__ using Unsigned128 = unsigned __int128;
__extension__ using Signed128 = __int128;
template <>
struct Twice<uint64_t> {
  using type = Unsigned128;
};
template <>
struct Twice<int64_t> {
  using type = Signed128;
};

template <class T>
T wrapped(uint64_t value) {
  return static_cast<T>(value);
}

template <class T>
T high(T a, T b) {
  using Wide = typename Twice<T>::type;
  return static_cast<T>((static_cast<Wide>(a) * static_cast<Wide>(b)) >> (8 * sizeof(T)));
}

/// a op b in type T; T is unsigned for what does not depend on the sign.
template <Arithmetic kOp, class T>
T apply(T a, T b, T c) {
  const auto x = static_cast<uint64_t>(a), y = static_cast<uint64_t>(b);
  if constexpr (kOp == Arithmetic::add) return wrapped<T>(x + y);
  if constexpr (kOp == Arithmetic::sub) return wrapped<T>(x - y);
  if constexpr (kOp == Arithmetic::mul) return wrapped<T>(x * y);
  if constexpr (kOp == Arithmetic::mad) return wrapped<T>(x * y + static_cast<uint64_t>(c));
  if constexpr (kOp == Arithmetic::mul_hi) return high(a, b);
  if constexpr (kOp == Arithmetic::mad_hi)
    return wrapped<T>(static_cast<uint64_t>(high(a, b)) + static_cast<uint64_t>(c));
  if constexpr (kOp == Arithmetic::min) return a < b ? a : b;
  if constexpr (kOp == Arithmetic::max) return a > b ? a : b;
  if constexpr (kOp == Arithmetic::neg) return wrapped<T>(0 - x);
  if constexpr (kOp == Arithmetic::abs) return a < T{0} ? wrapped<T>(0 - x) : a;
}

template <Arithmetic kOp, class T>
void run(Warp& warp, const Instruction& in, uint32_t mask) {
  each_of_three<T>(warp, in, mask, [](T a, T b, T c) { return apply<kOp, T>(a, b, c); });
}

/// Products twice as wide as their factors.
template <Arithmetic kOp, class T>
void run_wide(Warp& warp, const Instruction& in, uint32_t mask) {
  using Wide = typename Twice<T>::type;
  using Bits = std::make_unsigned_t<Wide>;
  const std::byte *a = warp.at(in.src[0]), *b = warp.at(in.src[1]);
  const std::byte* c = kOp == Arithmetic::mad_wide ? warp.at(in.src[2]) : nullptr;
  each_lane<Bits>(warp.at(in.dst), mask, [&](size_t i) {
    const auto product = static_cast<Bits>(static_cast<Wide>(get<T>(a, i)) * static_cast<Wide>(get<T>(b, i)));
    if constexpr (kOp == Arithmetic::mad_wide) return static_cast<Bits>(product + get<Bits>(c, i));
    return product;
  });
}

template <Arithmetic kOp, class T>
void run_divide(Warp& warp, const Instruction& in, uint32_t mask) {
  const std::byte *a = warp.at(in.src[0]), *b = warp.at(in.src[1]);
  only_lanes<T>(warp.at(in.dst), mask, [&](size_t i) {
    const T x = get<T>(a, i), y = get<T>(b, i);
    if (y == 0) {
      warp.block.fault(FaultKind::division_by_zero, warp, in, static_cast<uint32_t>(i));
      return kOp == Arithmetic::div ? static_cast<T>(~T{0}) : x;
    }
    if (std::is_signed_v<T> && y == static_cast<T>(-1)) {  // the most negative number has no quotient in C++
      return kOp == Arithmetic::div ? wrapped<T>(0 - static_cast<uint64_t>(x)) : T{0};
    }
    return kOp == Arithmetic::div ? static_cast<T>(x / y) : static_cast<T>(x % y);
  });
}

template <class T>
Handler by_operation(Arithmetic operation) {
  using Bits = std::make_unsigned_t<T>;
  switch (operation) {
    case Arithmetic::add:
      return run<Arithmetic::add, Bits>;
    case Arithmetic::sub:
      return run<Arithmetic::sub, Bits>;
    case Arithmetic::mul:
      return run<Arithmetic::mul, Bits>;
    case Arithmetic::mad:
      return run<Arithmetic::mad, Bits>;
    case Arithmetic::neg:
      return run<Arithmetic::neg, Bits>;
    case Arithmetic::abs:
      return run<Arithmetic::abs, T>;
    case Arithmetic::mul_hi:
      return run<Arithmetic::mul_hi, T>;
    case Arithmetic::mad_hi:
      return run<Arithmetic::mad_hi, T>;
    case Arithmetic::min:
      return run<Arithmetic::min, T>;
    case Arithmetic::max:
      return run<Arithmetic::max, T>;
    case Arithmetic::div:
      return run_divide<Arithmetic::div, T>;
    case Arithmetic::rem:
      return run_divide<Arithmetic::rem, T>;
    case Arithmetic::mul_wide:
      if constexpr (sizeof(T) < 8) return run_wide<Arithmetic::mul_wide, T>;
      return nullptr;
    case Arithmetic::mad_wide:
      if constexpr (sizeof(T) < 8) return run_wide<Arithmetic::mad_wide, T>;
      return nullptr;
    default:
      return nullptr;
  }
}

}  // namespace

Handler integer_arithmetic(Arithmetic operation, Type type) {
  switch (type) {
    case Type::u16:
      return by_operation<uint16_t>(operation);
    case Type::s16:
      return by_operation<int16_t>(operation);
    case Type::u32:
      return by_operation<uint32_t>(operation);
    case Type::s32:
      return by_operation<int32_t>(operation);
    case Type::u64:
      return by_operation<uint64_t>(operation);
    case Type::s64:
      return by_operation<int64_t>(operation);
    default:
      return nullptr;
  }
}

}  // namespace gristmill::emulator

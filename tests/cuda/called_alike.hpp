#pragma once

// Compares how functions are called: ours, which are declared without a vendor's header, with those of the
// header.

#include <type_traits>

namespace gristmill::runtime::test {

/// What a call passes: the size of an integer, an enumeration or a pointer, and which of these two kinds.
template <class One, class Other>
constexpr bool kPassedAlike =
    sizeof(One) == sizeof(Other) && std::is_pointer_v<One> ==
                                        std::is_pointer_v<Other>&& std::is_floating_point_v<One> ==
                                        std::is_floating_point_v<Other>;

template <class One, class Other>
struct CalledAlike : std::false_type {};
template <class One, class Other, class... Ones, class... Others>
struct CalledAlike<One (*)(Ones...), Other (*)(Others...)> {
  static constexpr bool equal() {
    if constexpr (sizeof...(Ones) == sizeof...(Others)) {
      return kPassedAlike<One, Other> && (kPassedAlike<Ones, Others> && ...);
    } else {
      return false;
    }
  }
  static constexpr bool value = equal();
};
template <class One, class Other>
constexpr bool kCalledAlike = CalledAlike<One, Other>::value;

}  // namespace gristmill::runtime::test

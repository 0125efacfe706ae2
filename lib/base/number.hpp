#pragma once

// Numbers of any width from text, strictly: the whole text, within the type's range, finite.

#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/str.hpp"

namespace gristmill {

/// The whole of `text` as a T, or nothing.
template <class T>
std::optional<T> parse_number(std::string_view text) {
  if constexpr (std::is_floating_point_v<T>) {
    const auto number = parse_double(text);
    return number && std::isfinite(*number) ? number : std::nullopt;
  } else if constexpr (std::is_unsigned_v<T>) {
    return parse_uint(text);
  } else {
    const auto number = parse_int(text);
    if (!number || *number < std::numeric_limits<T>::min() || *number > std::numeric_limits<T>::max())
      return {};
    return static_cast<T>(*number);
  }
}

/// What to say of a text that parse_number<T> refuses.
template <class T>
std::string number_hint() {
  if (std::is_floating_point_v<T>) return " is no number";
  if (std::is_unsigned_v<T>) return " is no whole number from 0 up";
  return str(" is no whole number between ", std::numeric_limits<T>::min(), " and ",
             std::numeric_limits<T>::max());
}

}  // namespace gristmill

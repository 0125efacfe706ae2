#pragma once

// Small text functions: joining values, strict parsing of numbers, splitting.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace gristmill {

namespace detail {
void append(std::string& out, std::string_view value);
void append(std::string& out, char value);
void append(std::string& out, bool value);
void append(std::string& out, double value);
void append(std::string& out, int64_t value);
void append(std::string& out, uint64_t value);
template <class T>
void append_any(std::string& out, const T& value) {
  if constexpr (std::is_same_v<T, bool> || std::is_same_v<T, char>) {
    append(out, value);
  } else if constexpr (std::is_floating_point_v<T>) {
    append(out, static_cast<double>(value));
  } else if constexpr (std::is_integral_v<T> && std::is_signed_v<T>) {
    append(out, static_cast<int64_t>(value));
  } else if constexpr (std::is_integral_v<T>) {
    append(out, static_cast<uint64_t>(value));
  } else {
    append(out, std::string_view(value));
  }
}
}  // namespace detail

/// Its arguments as text, behind each other. Numbers take their shortest exact form.
template <class... Parts>
std::string str(const Parts&... parts) {
  std::string out;
  (detail::append_any(out, parts), ...);
  return out;
}

/// The whole of `text` as a number, or nothing: no white space, no rest, no overflow.
std::optional<int64_t> parse_int(std::string_view text);
std::optional<uint64_t> parse_uint(std::string_view text);
std::optional<double> parse_double(std::string_view text);

/// A size with an optional suffix: 64, 64k, 64KiB, 2G, 2GB (all binary: k = 1024).
std::optional<uint64_t> parse_size(std::string_view text);

/// 1234567 as "1.2 MB" (decimal units), for people.
std::string format_bytes(uint64_t bytes);
/// `value` with a fixed number of digits after the point.
std::string format_fixed(double value, int digits);
/// Lower-case hexadecimal, 16 digits.
std::string format_hex64(uint64_t value);

std::vector<std::string_view> split(std::string_view text, char separator);
std::string join(const std::vector<std::string>& parts, std::string_view separator);
std::string_view strip(std::string_view text);
std::string to_lower_ascii(std::string_view text);
bool equals_ignoring_case(std::string_view a, std::string_view b);

/// Quotes a byte string for an error message: printable ASCII stays, the rest becomes \xNN; cut at 80 bytes.
std::string in_quotes(std::string_view text);

}  // namespace gristmill

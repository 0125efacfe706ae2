#include "base/str.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>

namespace gristmill {

namespace detail {

template <class T>
void append_number(std::string& out, T value) {
  std::array<char, 64> text{};
  const auto result = std::to_chars(text.data(), text.data() + text.size(), value);
  out.append(text.data(), result.ptr);
}

void append(std::string& out, std::string_view value) { out += value; }
void append(std::string& out, char value) { out += value; }
void append(std::string& out, bool value) { out += value ? "true" : "false"; }
void append(std::string& out, double value) { append_number(out, value); }
void append(std::string& out, int64_t value) { append_number(out, value); }
void append(std::string& out, uint64_t value) { append_number(out, value); }

}  // namespace detail

namespace {

template <class T>
std::optional<T> parse_number(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

/// Power of 1024 that a suffix stands for, or -1.
int size_exponent(std::string suffix) {
  suffix = to_lower_ascii(suffix);
  if (suffix.empty() || suffix == "b") return 0;
  if (suffix.ends_with("ib")) suffix.resize(suffix.size() - 2);
  if (suffix.ends_with('b')) suffix.pop_back();
  if (suffix.size() != 1) return -1;
  const auto at = std::string_view("kmgt").find(suffix[0]);
  return at == std::string_view::npos ? -1 : static_cast<int>(at) + 1;
}

}  // namespace

std::optional<int64_t> parse_int(std::string_view text) { return parse_number<int64_t>(text); }
std::optional<uint64_t> parse_uint(std::string_view text) { return parse_number<uint64_t>(text); }
std::optional<double> parse_double(std::string_view text) { return parse_number<double>(text); }

std::optional<uint64_t> parse_size(std::string_view text) {
  const auto digits = text.find_first_not_of("0123456789");
  const auto number = parse_uint(text.substr(0, digits));
  if (!number) return std::nullopt;
  if (digits == std::string_view::npos) return number;
  const int exponent = size_exponent(std::string(text.substr(digits)));
  if (exponent < 0) return std::nullopt;
  const int shift = 10 * exponent;
  if (*number > (UINT64_MAX >> shift)) return std::nullopt;
  return *number << shift;
}

std::string format_bytes(uint64_t bytes) {
  static constexpr std::array<const char*, 6> kUnits = {"B", "kB", "MB", "GB", "TB", "PB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 999.5 && unit + 1 < kUnits.size()) value /= 1000, ++unit;
  if (unit == 0) return str(bytes, " B");
  return format_fixed(value, value < 9.95 ? 1 : 0) + " " + kUnits[unit];
}

std::string format_fixed(double value, int digits) {
  std::array<char, 400> text{};
  const int length = std::snprintf(text.data(), text.size(), "%.*f", digits, value);
  return {text.data(), static_cast<size_t>(length)};
}

std::string format_hex64(uint64_t value) {
  std::array<char, 20> text{};
  std::snprintf(text.data(), text.size(), "%016llx", static_cast<unsigned long long>(value));
  return text.data();
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (size_t start = 0;;) {
    const size_t end = text.find(separator, start);
    parts.push_back(text.substr(start, end - start));
    if (end == std::string_view::npos) return parts;
    start = end + 1;
  }
}

std::string join(const std::vector<std::string>& parts, std::string_view separator) {
  std::string out;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) out += separator;
    out += parts[i];
  }
  return out;
}

std::string_view strip(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n\f\v";
  const auto first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

std::string to_lower_ascii(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = lower(c);
  return out;
}

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (lower(a[i]) != lower(b[i])) return false;
  }
  return true;
}

std::string in_quotes(std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out = "\"";
  for (const char c : text.substr(0, 80)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f) {
      out += c;
    } else {
      out += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return out + (text.size() > 80 ? "…\"" : "\"");
}

}  // namespace gristmill

#include "text/utf8.hpp"

namespace gristmill::text {

namespace detail {

CodePoint decode_long(std::string_view text, size_t at) {
  const auto lead = static_cast<unsigned char>(text[at]);
  // Tail bytes wanted, and the range of the first of them (table 3-7); the others are 80..BF.
  int tails = 0;
  unsigned low = 0x80, high = 0xBF;
  char32_t value = 0;
  if (lead >= 0xC2 && lead <= 0xDF) {
    tails = 1, value = lead & 0x1FU;
  } else if (lead >= 0xE0 && lead <= 0xEF) {
    tails = 2, value = lead & 0x0FU;
    if (lead == 0xE0) low = 0xA0;
    if (lead == 0xED) high = 0x9F;
  } else if (lead >= 0xF0 && lead <= 0xF4) {
    tails = 3, value = lead & 0x07U;
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;
  } else {
    return {kReplacement, 1, false};
  }
  for (int i = 1; i <= tails; ++i) {
    const size_t position = at + static_cast<size_t>(i);
    const unsigned byte = position < text.size() ? static_cast<unsigned char>(text[position]) : 0;
    if (byte < low || byte > high) return {kReplacement, i, false};
    value = (value << 6) | (byte & 0x3FU);
    low = 0x80, high = 0xBF;
  }
  return {value, tails + 1, true};
}

}  // namespace detail

void append_utf8(std::string& out, char32_t value) {
  if (value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF)) value = kReplacement;
  const auto put = [&out](char32_t byte) { out += static_cast<char>(static_cast<unsigned char>(byte)); };
  if (value < 0x80) {
    put(value);
  } else if (value < 0x800) {
    put(0xC0 | (value >> 6)), put(0x80 | (value & 0x3F));
  } else if (value < 0x10000) {
    put(0xE0 | (value >> 12)), put(0x80 | ((value >> 6) & 0x3F)), put(0x80 | (value & 0x3F));
  } else {
    put(0xF0 | (value >> 18)), put(0x80 | ((value >> 12) & 0x3F));
    put(0x80 | ((value >> 6) & 0x3F)), put(0x80 | (value & 0x3F));
  }
}

bool is_valid_utf8(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const auto point = decode_utf8(text, at);
    if (!point.valid) return false;
    at += static_cast<size_t>(point.length);
  }
  return true;
}

size_t count_code_points(std::string_view text) {
  size_t count = 0;
  for (size_t at = 0; at < text.size(); ++count) at += static_cast<size_t>(decode_utf8(text, at).length);
  return count;
}

std::string to_valid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const auto point = decode_utf8(text, at);
    const auto length = static_cast<size_t>(point.length);
    if (point.valid) {
      out.append(text, at, length);
    } else {
      append_utf8(out, kReplacement);
    }
    at += length;
  }
  return out;
}

}  // namespace gristmill::text

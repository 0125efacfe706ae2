#include "web/charset.hpp"

#include <iconv.h>
#include <uchardet/uchardet.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <memory>

#include "text/utf8.hpp"
#include "web/charset_labels.hpp"

namespace gristmill::web {

namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";
constexpr size_t kPrescanBytes = 1024, kLatePrescanBytes = 1 << 16, kDetectBytes = 1 << 18;

/// The C1 half of windows-1252; 0 = the standard maps the byte to the control character of the same number.
constexpr std::array<uint16_t, 32> kWindows1252 = {
    0x20AC, 0,      0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160,
    0x2039, 0x0152, 0,      0x017D, 0,      0,      0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
    0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0,      0x017E, 0x0178};

std::string from_windows_1252(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size() + bytes.size() / 8);
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte == 0) continue;
    const char32_t mapped = byte >= 0x80 && byte < 0xA0 ? kWindows1252[byte - 0x80u] : 0u;
    text::append_utf8(out, mapped != 0 ? mapped : byte);
  }
  return out;
}

/// Decodes with glibc's iconv; a sequence it refuses becomes U+FFFD and one byte is passed over. False if
/// glibc does not know the encoding.
bool from_iconv(std::string_view bytes, const char* encoding, std::string& out) {
  const iconv_t converter = ::iconv_open("UTF-8", encoding);
  if (converter == reinterpret_cast<iconv_t>(-1)) return false;
  std::array<char, 1 << 14> block;
  char* input = const_cast<char*>(bytes.data());
  size_t left = bytes.size();
  while (left > 0) {
    char* output = block.data();
    size_t room = block.size();
    const size_t status = ::iconv(converter, &input, &left, &output, &room);
    const int error = errno;
    out.append(block.data(), block.size() - room);
    if (status != static_cast<size_t>(-1) || error == E2BIG) continue;
    out += kReplacement;
    if (error != EILSEQ) break;  // an unfinished sequence at the end
    ++input;
    --left;
    ::iconv(converter, nullptr, nullptr, nullptr, nullptr);
  }
  ::iconv_close(converter);
  return true;
}

std::string_view detect(std::string_view bytes) {
  const std::unique_ptr<struct uchardet, void (*)(uchardet_t)> detector(::uchardet_new(), ::uchardet_delete);
  if (::uchardet_handle_data(detector.get(), bytes.data(), std::min(bytes.size(), kDetectBytes)) != 0)
    return {};
  ::uchardet_data_end(detector.get());
  return encoding_of_label(::uchardet_get_charset(detector.get()));
}

std::string_view byte_order_mark(std::string_view bytes) {
  if (bytes.substr(0, 3) == "\xEF\xBB\xBF") return "utf-8";
  if (bytes.substr(0, 2) == "\xFF\xFE") return "utf-16le";
  if (bytes.substr(0, 2) == "\xFE\xFF") return "utf-16be";
  return {};
}

/// UTF-16 without one zero byte would be a page without one tag, space or line end: the label lies.
bool is_possible(std::string_view label, std::string_view bytes) {
  return !label.starts_with("utf-16") || bytes.substr(0, kPrescanBytes).find('\0') != std::string_view::npos;
}

std::string_view choose_encoding(std::string_view bytes, std::string_view declared) {
  if (const auto label = encoding_of_label(declared); !label.empty() && is_possible(label, bytes))
    return label;
  if (const auto label = prescan_meta(bytes.substr(0, kPrescanBytes)); !label.empty()) return label;
  if (text::is_valid_utf8(bytes)) return "utf-8";
  if (const auto label = prescan_meta(bytes.substr(0, kLatePrescanBytes)); !label.empty()) return label;
  const auto guess = detect(bytes);
  return guess.empty() || guess == "utf-8" ? "windows-1252" : guess;
}

}  // namespace

std::string sanitise_utf8(std::string_view bytes) {
  std::string out = text::is_valid_utf8(bytes) ? std::string(bytes) : text::to_valid_utf8(bytes);
  std::erase(out, '\0');
  return out;
}

DecodedText decode_text(std::string_view bytes, std::string_view declared) {
  std::string_view encoding = byte_order_mark(bytes);
  if (!encoding.empty()) {
    bytes.remove_prefix(encoding == "utf-8" ? 3 : 2);
  } else {
    encoding = choose_encoding(bytes, declared);
  }
  if (encoding == "utf-8") return {sanitise_utf8(bytes), "utf-8"};
  if (encoding != "windows-1252") {
    std::string raw;
    if (from_iconv(bytes, iconv_name(encoding), raw)) return {sanitise_utf8(raw), std::string(encoding)};
  }
  return {from_windows_1252(bytes), "windows-1252"};
}

}  // namespace gristmill::web

#pragma once

// UTF-8 as The Unicode Standard 15, table 3-7 has it: no overlong forms, no surrogates, nothing above
// U+10FFFF. A malformed sequence decodes to one U+FFFD for each "maximal subpart" (§3.9), as browsers and
// Python do it.

#include <cstddef>
#include <string>
#include <string_view>

namespace gristmill::text {

inline constexpr char32_t kReplacement = 0xFFFD;

struct CodePoint {
  char32_t value;  ///< U+FFFD where the bytes are malformed
  int length;      ///< bytes taken, at least 1
  bool valid;
};

namespace detail {
CodePoint decode_long(std::string_view text, size_t at);
}

/// The code point that starts at byte `at`, which must be below text.size().
inline CodePoint decode_utf8(std::string_view text, size_t at) {
  const auto lead = static_cast<unsigned char>(text[at]);
  if (lead < 0x80) return {lead, 1, true};
  return detail::decode_long(text, at);
}

/// Appends a code point; surrogates and values above U+10FFFF become U+FFFD.
void append_utf8(std::string& out, char32_t value);

bool is_valid_utf8(std::string_view text);

/// Code points in `text`; a malformed sequence counts as the U+FFFD it decodes to.
size_t count_code_points(std::string_view text);

/// `text` with U+FFFD in place of every malformed sequence.
std::string to_valid_utf8(std::string_view text);

}  // namespace gristmill::text

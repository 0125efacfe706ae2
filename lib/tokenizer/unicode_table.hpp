#pragma once

// Character classes of the GPT-2 family of patterns (\p{L}, \p{N}, \s and their parts), from a committed table, so that ids never
// depend on a library's Unicode version. The table is Unicode 15.0; peers differ (Hugging Face 16, PCRE2 of Debian 12 14),
// which shows only in text with letters that the one knows and the other does not.

#include <cstddef>
#include <cstdint>

namespace gristmill::tokenizer {

enum class CharClass : uint8_t {
  other = 0,   ///< punctuation, symbols, controls, unassigned, and every malformed byte
  upper = 1,   ///< Lu, Lt
  lower = 2,   ///< Ll
  letter = 3,  ///< Lm, Lo
  mark = 4,    ///< M
  number = 5,  ///< N
  space = 6,   ///< the property White_Space
};

extern const char* const kUnicodeVersion;

inline constexpr size_t kBlocks = 0x110000 / 256;
extern const unsigned char kPageOfBlock[kBlocks];
extern const char kPages[];

/// The class of a code point below 0x110000.
inline CharClass char_class(char32_t code_point) {
  const size_t page = kPageOfBlock[code_point >> 8];
  return static_cast<CharClass>(kPages[page * 256 + (code_point & 255)] - '0');
}

}  // namespace gristmill::tokenizer

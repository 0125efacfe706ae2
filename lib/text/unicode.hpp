#pragma once

// What the text rules need to know of a code point: one table look-up for ASCII, utf8proc's category tables
// for the rest.

#include <array>
#include <cstdint>

namespace gristmill::text {

/// The part a code point plays in word segmentation; after the Word_Break property of UAX #29, see words.hpp.
enum class WordClass : uint8_t {
  space,       ///< white space and control characters: between words
  letter,      ///< ALetter and Hebrew_Letter
  digit,       ///< Numeric
  katakana,    ///< Katakana: joins its own kind
  single,      ///< ideographs, Hiragana and scripts written without spaces: a word each
  extend,      ///< marks and format characters: belong to what stands before them
  connector,   ///< ExtendNumLet: joins letters, digits and Katakana
  mid_letter,  ///< joins two letters
  mid_digit,   ///< joins two digits
  mid_both,    ///< joins two letters or two digits
  symbol,      ///< everything else
};

namespace detail {
WordClass word_class_beyond_ascii(char32_t value);
constexpr WordClass ascii_word_class(unsigned c) {
  if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return WordClass::letter;
  if (c >= '0' && c <= '9') return WordClass::digit;
  if (c <= 32 || c == 127) return WordClass::space;
  if (c == '_') return WordClass::connector;
  if (c == '.' || c == '\'') return WordClass::mid_both;
  if (c == ',' || c == ';') return WordClass::mid_digit;
  return WordClass::symbol;
}
constexpr std::array<WordClass, 128> make_ascii_table() {
  std::array<WordClass, 128> table{};
  for (unsigned c = 0; c < 128; ++c) table[c] = ascii_word_class(c);
  return table;
}
inline constexpr auto kAsciiWordClass = make_ascii_table();
}  // namespace detail

inline WordClass word_class(char32_t value) {
  return value < 128 ? detail::kAsciiWordClass[value] : detail::word_class_beyond_ascii(value);
}

/// White space as Python's str.isspace has it.
bool is_space(char32_t value);
/// Letters of any script (general category L).
bool is_letter(char32_t value);
/// Simple lower case: one code point for one.
char32_t to_lower(char32_t value);
/// Ends a sentence: full stop, question and exclamation mark in every script (Sentence_Terminal of UAX #44
/// with the ellipsis), quotes not among them.
bool is_sentence_terminal(char32_t value);

}  // namespace gristmill::text

#pragma once

// Splits text into words and symbols: the default word boundaries of UAX #29 (WB1-WB13) with three choices of
// our own, made so that counts of tokens agree with what the published filter thresholds were tuned on:
// white space and control characters are no tokens; a run of one and the same symbol ("...", "-----") is one
// token; the colon does not join letters (as in ICU). "word" = a token with a letter or a digit in it.
// Every threshold of the filters depends on this split, so it is one function, and lengths are code points.

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace gristmill::text {

struct Token {
  size_t begin;        ///< byte offset
  uint32_t size;       ///< bytes
  uint32_t chars;      ///< code points
  bool is_word;        ///< holds a letter or a digit
  bool is_alphabetic;  ///< holds a letter

  std::string_view in(std::string_view text) const { return text.substr(begin, size); }
};

/// Appends the tokens of `text`, which may be malformed UTF-8 and of any size below 4 GiB, in linear time.
void split_words(std::string_view text, std::vector<Token>& tokens);
std::vector<Token> split_words(std::string_view text);

}  // namespace gristmill::text

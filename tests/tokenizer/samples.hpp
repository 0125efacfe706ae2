#pragma once

// What the tests of this folder share: the small tokenizer, and seeded texts that are hard on a tokenizer.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.hpp"
#include "base/rng.hpp"
#include "support/data.hpp"
#include "tokenizer/tokenizer.hpp"

namespace gristmill::test {

inline tokenizer::Tokenizer small_tokenizer() {
  return tokenizer::Tokenizer::load(testdata("tokenizer/small.json").string());
}

/// A text of `parts` random parts: words, runs, all kinds of white space, contractions, letters and digits of
/// many scripts, and where `malformed`, bytes that are no UTF-8.
inline std::string random_text(Rng& rng, size_t parts, bool malformed) {
  static const std::vector<std::string> kParts = {"a",          "b",          " ",       " ",
                                                  "  ",         "\n",         "\n\n",    "\t",
                                                  "\r\n",       "'",          "'s",      "'t",
                                                  "'re",        "'ve",        "'m",      "'ll",
                                                  "'d",         "'x",         "S",       "the",
                                                  " miller",    "grain",      "1",       "12",
                                                  "345",        ".",          "...",     "!?",
                                                  "<|im_end|>", "<|",         "|>",      "\u00A0",
                                                  "\u2003",     "\u3000",     "\u0085",  "\u2028",
                                                  "é",          "e\u0301",    "Ё",       "粉屋",
                                                  "は",         "\u01C5",     "\u02B0",  "½",
                                                  "Ⅷ",          "٣",          "🌾",       "\u200B",
                                                  "\uFEFF",     "\U00020000", "aaaaaaa", std::string(1, '\0'),
                                                  "\x7F"};
  static const std::vector<std::string> kMalformed = {
      "\x80", "\xC0", "\xFF", "\xE2\x82", "\xE0\x80", "\xED\xA0\x80", "\xF0\x9F\x8C", "\xF4\x90\x80\x80",
      "\xC3"};
  std::string text;
  for (size_t i = 0; i < parts; ++i) {
    const bool broken = malformed && rng.below(6) == 0;
    const auto& from = broken ? kMalformed : kParts;
    text += from[static_cast<size_t>(rng.below(from.size()))];
  }
  return text;
}

inline std::string random_bytes(Rng& rng, size_t count) {
  std::string bytes;
  for (size_t i = 0; i < count; ++i) bytes += static_cast<char>(rng.below(256));
  return bytes;
}

}  // namespace gristmill::test

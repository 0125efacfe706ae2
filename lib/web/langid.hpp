#pragma once

// Which language a text is in: CLD2, whose tables cover 83 languages.

#include <string>
#include <string_view>

namespace gristmill::web {

struct LanguageGuess {
  std::string code;  ///< ISO 639-1 or CLD2's own ("zh-Hant"); empty if there is too little text to tell
  double share = 0;  ///< part of the text in that language, 0 to 1
};

/// Guesses from plain text (valid UTF-8). URLs and the like should be a small part of it.
LanguageGuess guess_language(std::string_view text);

}  // namespace gristmill::web

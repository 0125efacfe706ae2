#include "web/langid.hpp"

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>
// CLD2's header needs what stands above it.
#include <cld2/public/compact_lang_det.h>
#include <cld2/public/encodings.h>

namespace gristmill::web {

namespace {
constexpr size_t kEnough = 1 << 18;  ///< bytes that decide; more of a long text changes nothing
}

LanguageGuess guess_language(std::string_view text) {
  const int length = static_cast<int>(std::min(text.size(), kEnough));
  const CLD2::CLDHints hints{nullptr, nullptr, CLD2::UNKNOWN_ENCODING, CLD2::UNKNOWN_LANGUAGE};
  CLD2::Language languages[3];
  int percents[3] = {0, 0, 0};
  double scores[3];
  int text_bytes = 0, valid = 0;
  bool reliable = false;
  const auto detect = [&](int bytes) {
    return CLD2::ExtDetectLanguageSummaryCheckUTF8(text.data(), bytes, true, &hints, 0, languages, percents,
                                                   scores, nullptr, &text_bytes, &reliable, &valid);
  };
  // A cut character or a noncharacter ends what CLD2 accepts; the part before it serves.
  if (detect(length) == CLD2::UNKNOWN_LANGUAGE && valid < length) detect(valid);
  if (languages[0] == CLD2::UNKNOWN_LANGUAGE || percents[0] == 0) return {};
  return {CLD2::LanguageCode(languages[0]), percents[0] / 100.0};
}

}  // namespace gristmill::web

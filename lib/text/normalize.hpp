#pragma once

// The one normal form by which texts are compared (deduplication, decontamination): composed (NFC), lower
// case, words only, one space between them. Version kNormalVersion goes into the header of what is made with
// it, since fingerprints of two versions cannot be compared.

#include <string>
#include <string_view>
#include <vector>

namespace gristmill::text {

inline constexpr int kNormalVersion = 1;

/// Unicode normalisation form C. Malformed sequences become U+FFFD.
std::string compose(std::string_view text);

/// Words of `text` in normal form, separated by single spaces.
std::string normalize(std::string_view text);

}  // namespace gristmill::text

#pragma once

// The label table of the Encoding Standard (https://encoding.spec.whatwg.org, "names and labels"), and the
// names glibc's iconv has for its encodings.

#include <string_view>

namespace gristmill::web {

/// The encoding that a label names ("latin1" → "windows-1252"), or empty. Case and white space around do not
/// matter.
std::string_view encoding_of_label(std::string_view label);

/// What iconv calls an encoding of the table. Where the standard's decoder covers more than the name says,
/// the larger one.
const char* iconv_name(std::string_view encoding);

}  // namespace gristmill::web

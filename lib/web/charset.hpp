#pragma once

// From the bytes of a page to valid UTF-8, in the order of the HTML standard ("determining the character
// encoding"): byte order mark, HTTP charset, <meta> among the first 1,024 bytes; then, since pages lie by
// omission: UTF-8 if valid, a later <meta>, uchardet's guess, windows-1252.

#include <string>
#include <string_view>

namespace gristmill::web {

struct DecodedText {
  std::string text;     ///< valid UTF-8 without NUL; what could not be decoded is U+FFFD
  std::string charset;  ///< the standard's name in lower case: "utf-8", "windows-1252", "gb18030", …
};

/// `declared` is the HTTP charset label, or empty.
DecodedText decode_text(std::string_view bytes, std::string_view declared);

/// The prescan of the HTML standard: the encoding a <meta> in `head` declares, or empty.
std::string_view prescan_meta(std::string_view head);

/// Valid UTF-8 from any bytes: NUL dropped, each malformed sequence U+FFFD.
std::string sanitise_utf8(std::string_view bytes);

}  // namespace gristmill::web

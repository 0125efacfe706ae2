#include "text/normalize.hpp"

#include <utf8proc.h>

#include <cstdlib>
#include <memory>

#include "base/error.hpp"
#include "text/unicode.hpp"
#include "text/utf8.hpp"
#include "text/words.hpp"

namespace gristmill::text {

namespace {

/// True where composition may change something around this code point. All below U+0300 are stable under NFC;
/// of the others marks, Jamo and what has a canonical decomposition are suspects.
bool may_compose(char32_t value) {
  if (value < 0x300) return false;
  if (value >= 0x1100 && value <= 0x11FF) return true;
  const auto* property = utf8proc_get_property(static_cast<utf8proc_int32_t>(value));
  const bool mark = property->category >= UTF8PROC_CATEGORY_MN && property->category <= UTF8PROC_CATEGORY_ME;
  return mark || (property->decomp_type == 0 && property->decomp_seqindex != UINT16_MAX);
}

bool needs_composing(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    if (static_cast<unsigned char>(text[at]) < 0x80) {
      ++at;
      continue;
    }
    const auto point = decode_utf8(text, at);
    if (!point.valid || may_compose(point.value)) return true;
    at += static_cast<size_t>(point.length);
  }
  return false;
}

void append_lower(std::string& out, std::string_view word) {
  for (size_t at = 0; at < word.size();) {
    const auto point = decode_utf8(word, at);
    append_utf8(out, to_lower(point.value));
    at += static_cast<size_t>(point.length);
  }
}

}  // namespace

std::string compose(std::string_view text) {
  const std::string valid = to_valid_utf8(text);
  utf8proc_uint8_t* composed = nullptr;
  const auto size = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(valid.data()),
                                 static_cast<utf8proc_ssize_t>(valid.size()), &composed,
                                 static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(composed, &std::free);
  if (size < 0) fail(Kind::internal, "cannot normalise a text: ", utf8proc_errmsg(size));
  return {reinterpret_cast<const char*>(composed), static_cast<size_t>(size)};
}

std::string normalize(std::string_view text) {
  std::string composed;
  if (needs_composing(text)) {
    composed = compose(text);
    text = composed;
  }
  std::string out;
  out.reserve(text.size());
  for (const auto& token : split_words(text)) {
    if (!token.is_word) continue;
    if (!out.empty()) out += ' ';
    append_lower(out, token.in(text));
  }
  return out;
}

}  // namespace gristmill::text

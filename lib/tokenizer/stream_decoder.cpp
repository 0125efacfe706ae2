// Text from ids as they come. A tail is held back while it is a proper prefix of a well-formed character;
// what cannot become one is passed on at once, so that a model that emits broken bytes stalls nobody.

#include <cstddef>

#include "text/utf8.hpp"
#include "tokenizer/tokenizer.hpp"

namespace gristmill::tokenizer {
namespace {

// The number of bytes at the end that may be the beginning of a character: 0 to 3.
size_t unfinished_bytes(std::string_view text) {
  for (size_t length = 1; length <= 3 && length <= text.size(); ++length) {
    const size_t at = text.size() - length;
    const auto lead = static_cast<unsigned char>(text[at]);
    if (lead < 0x80) return 0;
    if (lead < 0xC2 || lead > 0xF4) continue;
    // decode_utf8 takes the longest part that could still have become a character.
    const text::CodePoint code_point = text::decode_utf8(text, at);
    return !code_point.valid && static_cast<size_t>(code_point.length) == length ? length : 0;
  }
  return 0;
}

}  // namespace

std::string StreamDecoder::push(uint32_t id) {
  const std::string_view bytes = tokenizer_.token_bytes(id);
  if (skip_special_ && tokenizer_.is_special(id)) return {};
  std::string text = std::move(held_);
  text += bytes;
  held_ = text.substr(text.size() - unfinished_bytes(text));
  text.resize(text.size() - held_.size());
  return text;
}

std::string StreamDecoder::finish() {
  std::string text = std::move(held_);
  held_.clear();
  return text;
}

}  // namespace gristmill::tokenizer

#pragma once

// GPT-2's spelling of bytes in tokenizer.json: bytes 33-126, 161-172 and 174-255 stand for the code point of
// their value, the other 68 for U+0100, U+0101, … in byte order ("Ġ", U+0120, is the space). So every token
// is printable text without white space.

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace gristmill::tokenizer {

/// Bytes in the order of the code points that spell them: the order of a fresh vocabulary.
std::array<uint8_t, 256> bytes_by_spelling();
/// Bytes as they are spelt in the file (UTF-8).
std::string spell_bytes(std::string_view bytes);
/// The bytes that a token spells; nothing if a character stands for no byte.
std::optional<std::string> unspell_bytes(std::string_view token);

}  // namespace gristmill::tokenizer

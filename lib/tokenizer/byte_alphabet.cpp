#include "tokenizer/byte_alphabet.hpp"

#include <algorithm>
#include <cstddef>
#include <numeric>

#include "text/utf8.hpp"

namespace gristmill::tokenizer {
namespace {

constexpr char32_t kFirstSubstitute = 0x100;
constexpr size_t kSubstitutes = 68;

struct Alphabet {
  std::array<char32_t, 256> spelling{};
  std::array<uint8_t, kFirstSubstitute + kSubstitutes> byte{};
  std::array<bool, kFirstSubstitute + kSubstitutes> known{};
};

Alphabet make_alphabet() {
  Alphabet alphabet;
  char32_t substitute = kFirstSubstitute;
  for (uint32_t byte = 0; byte < 256; ++byte) {
    const bool is_itself = (byte >= 33 && byte <= 126) || (byte >= 161 && byte != 173);
    const char32_t code_point = is_itself ? byte : substitute++;
    alphabet.spelling[byte] = code_point;
    alphabet.byte[code_point] = static_cast<uint8_t>(byte);
    alphabet.known[code_point] = true;
  }
  return alphabet;
}

const Alphabet& alphabet() {
  static const Alphabet instance = make_alphabet();
  return instance;
}

}  // namespace

std::array<uint8_t, 256> bytes_by_spelling() {
  std::array<uint8_t, 256> bytes{};
  std::iota(bytes.begin(), bytes.end(), uint8_t{0});
  std::sort(bytes.begin(), bytes.end(),
            [](uint8_t a, uint8_t b) { return alphabet().spelling[a] < alphabet().spelling[b]; });
  return bytes;
}

std::string spell_bytes(std::string_view bytes) {
  std::string token;
  for (const char byte : bytes)
    text::append_utf8(token, alphabet().spelling[static_cast<unsigned char>(byte)]);
  return token;
}

std::optional<std::string> unspell_bytes(std::string_view token) {
  std::string bytes;
  for (size_t at = 0; at < token.size();) {
    const text::CodePoint code_point = text::decode_utf8(token, at);
    if (!code_point.valid || code_point.value >= alphabet().known.size() ||
        !alphabet().known[code_point.value]) {
      return std::nullopt;
    }
    bytes += static_cast<char>(alphabet().byte[code_point.value]);
    at += static_cast<size_t>(code_point.length);
  }
  return bytes;
}

}  // namespace gristmill::tokenizer

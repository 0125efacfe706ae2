#pragma once

// Words of a PTX text. A word keeps its dots and double colons ("ld.global.L1::no_allocate.f32", "%tid.x",
// "0f3F800000"), so that an instruction's name is one token; everything else is one character.

#include <cstdint>
#include <string_view>
#include <vector>

namespace gristmill::emulator {

struct Token {
  enum class Kind : uint8_t { word, symbol, string, end };
  Kind kind = Kind::end;
  std::string_view text;  ///< part of the tokenized text; a string without its quotes
  uint32_t line = 0;      ///< from 1
};

/// The tokens of `source`, the last of kind end. Comments are left out. Error{input} names line and
/// character.
std::vector<Token> tokenize(std::string_view source);

}  // namespace gristmill::emulator

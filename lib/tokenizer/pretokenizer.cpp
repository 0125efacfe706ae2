#include "tokenizer/pretokenizer.hpp"

#include <array>
#include <cstdint>

#include "text/utf8.hpp"
#include "tokenizer/unicode_table.hpp"

namespace gristmill::tokenizer {
namespace {

// What the pattern distinguishes; a run consists of characters of one kind.
enum Run : uint8_t { kLetters, kNumbers, kOthers, kSpaces, kNotAscii };

constexpr Run run_of(CharClass c) {
  switch (c) {
    case CharClass::upper:
    case CharClass::lower:
    case CharClass::letter:
      return kLetters;
    case CharClass::number:
      return kNumbers;
    case CharClass::space:
      return kSpaces;
    default:
      return kOthers;
  }
}

// Bytes below 128 by table: most text needs no decoding. The test compares it with the Unicode table.
constexpr std::array<uint8_t, 256> make_ascii_runs() {
  std::array<uint8_t, 256> runs{};
  for (size_t byte = 0; byte < 256; ++byte) {
    const bool is_letter = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
    const bool is_space = byte == ' ' || (byte >= 9 && byte <= 13);
    runs[byte] = byte >= 128                  ? kNotAscii
                 : is_letter                  ? kLetters
                 : byte >= '0' && byte <= '9' ? kNumbers
                 : is_space                   ? kSpaces
                                              : kOthers;
  }
  return runs;
}
constexpr auto kAsciiRuns = make_ascii_runs();

struct Char {
  Run run;
  size_t length;
};

Char char_at(std::string_view text, size_t at) {
  const auto run = static_cast<Run>(kAsciiRuns[static_cast<unsigned char>(text[at])]);
  if (run != kNotAscii) return {run, 1};
  const text::CodePoint code_point = text::decode_utf8(text, at);
  const auto length = static_cast<size_t>(code_point.length);
  return {code_point.valid ? run_of(char_class(code_point.value)) : kOthers, length};
}

// The end of the run of `run` that goes on at `at`.
size_t run_end(std::string_view text, size_t at, Run run) {
  while (at < text.size()) {
    const auto ascii = kAsciiRuns[static_cast<unsigned char>(text[at])];
    if (ascii == run) {
      ++at;
    } else if (ascii != kNotAscii) {
      break;
    } else {
      const Char next = char_at(text, at);
      if (next.run != run) break;
      at += next.length;
    }
  }
  return at;
}

// The length of 's 't 're 've 'm 'll 'd at an apostrophe, or 0.
size_t contraction(std::string_view text, size_t at) {
  const std::string_view rest = text.substr(at + 1, 2);
  if (rest.empty()) return 0;
  if (rest[0] == 's' || rest[0] == 't' || rest[0] == 'm' || rest[0] == 'd') return 2;
  return rest == "re" || rest == "ve" || rest == "ll" ? 3 : 0;
}

// \s+(?!\S)|\s+ : a run of white space leaves its last character to what follows, unless nothing follows or
// it is alone.
size_t spaces_end(std::string_view text, size_t begin, size_t first_length) {
  size_t at = begin + first_length, last = begin;
  while (at < text.size()) {
    const Char next = char_at(text, at);
    if (next.run != kSpaces) return last == begin ? at : last;
    last = at;
    at += next.length;
  }
  return at;
}

}  // namespace

size_t next_piece(std::string_view text, size_t begin) {
  const Char first = char_at(text, begin);
  if (first.run != kSpaces) {
    if (text[begin] == '\'') {
      if (const size_t length = contraction(text, begin)) return begin + length;
    }
    return run_end(text, begin + first.length, first.run);
  }
  if (text[begin] == ' ' && begin + 1 < text.size()) {
    const Char second = char_at(text, begin + 1);
    if (second.run != kSpaces) return run_end(text, begin + 1 + second.length, second.run);
  }
  return spaces_end(text, begin, first.length);
}

size_t safe_cut(std::string_view text, size_t limit) {
  // An ASCII byte on either side is never a part of a longer white-space character, and asks for no decoding
  // backwards.
  const auto is_solid = [&](size_t at) { return kAsciiRuns[static_cast<unsigned char>(text[at])] < kSpaces; };
  for (size_t at = limit < text.size() ? limit : text.size(); at > 1; --at) {
    if (at + 1 < text.size() && text[at] == ' ' && is_solid(at - 1) && is_solid(at + 1)) return at;
  }
  return 0;
}

}  // namespace gristmill::tokenizer

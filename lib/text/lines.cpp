#include "text/lines.hpp"

#include <algorithm>
#include <array>
#include <string>

#include "text/unicode.hpp"
#include "text/utf8.hpp"

namespace gristmill::text {

namespace {

/// Bytes of the line boundary at `at`, or 0.
size_t boundary_length(std::string_view text, size_t at) {
  const auto c = static_cast<unsigned char>(text[at]);
  if (c == '\r') return at + 1 < text.size() && text[at + 1] == '\n' ? 2 : 1;
  if ((c >= '\n' && c <= '\f') || (c >= 0x1C && c <= 0x1E)) return 1;
  if (c == 0xC2) return at + 1 < text.size() && text[at + 1] == '\x85' ? 2 : 0;
  if (c == 0xE2 && at + 2 < text.size() && text[at + 1] == '\x80' &&
      (text[at + 2] == '\xA8' || text[at + 2] == '\xA9')) {
    return 3;
  }
  return 0;
}

/// Start of the code point that ends at byte `end`; at most 3 steps back.
size_t previous_start(std::string_view text, size_t end) {
  size_t at = end - 1;
  for (int i = 0; i < 3 && at > 0 && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80; ++i) --at;
  const auto point = decode_utf8(text, at);
  return at + static_cast<size_t>(point.length) == end ? at : end - 1;
}

constexpr std::array<std::string_view, 16> kAbbreviations = {
    "mr", "mrs", "ms", "dr", "prof", "st", "vs", "etc", "inc", "ltd", "e.g", "i.e", "fig", "no", "jr", "sr"};

/// True if a full stop behind `before` belongs to an initial or an abbreviation.
bool is_abbreviation(std::string_view before) {
  size_t start = before.size();
  while (start > 0 && before.size() - start < 6 && !is_space(static_cast<unsigned char>(before[start - 1])))
    --start;
  const auto word = before.substr(start);
  if (word.size() == 1) return word[0] >= 'A' && word[0] <= 'Z' && word[0] != 'I';
  std::string lower(word);
  for (char& c : lower) c = static_cast<char>(to_lower(static_cast<unsigned char>(c)) & 0xFF);
  return std::find(kAbbreviations.begin(), kAbbreviations.end(), lower) != kAbbreviations.end();
}

bool is_closing(char32_t value) {
  return value == '"' || value == '\'' || value == ')' || value == ']' || value == '}' || value == 0x2019 ||
         value == 0x201D || value == 0x00BB || value == 0x300D || value == 0x300F || value == 0xFF09;
}

/// Full-width marks end a sentence without white space behind them.
bool is_full_width(char32_t value) {
  return value == 0x3002 || value == 0xFF01 || value == 0xFF0E || value == 0xFF1F || value == 0xFF61;
}

/// Where the run of marks, closing quotes and brackets that starts at `at` ends.
size_t skip_marks(std::string_view line, size_t at) {
  while (at < line.size()) {
    const auto point = decode_utf8(line, at);
    if (!is_sentence_terminal(point.value) && !is_closing(point.value)) break;
    at += static_cast<size_t>(point.length);
  }
  return at;
}

bool is_lower(char32_t value) {
  if (value < 0x80) return value >= 'a' && value <= 'z';
  return is_letter(value) && value == to_lower(value) && word_class(value) == WordClass::letter;
}

size_t skip_space(std::string_view line, size_t at) {
  while (at < line.size()) {
    const auto point = decode_utf8(line, at);
    if (!is_space(point.value)) break;
    at += static_cast<size_t>(point.length);
  }
  return at;
}

}  // namespace

std::vector<std::string_view> split_lines(std::string_view text) {
  std::vector<std::string_view> lines;
  size_t start = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t length = boundary_length(text, at);
    if (length == 0) {
      ++at;
      continue;
    }
    lines.push_back(text.substr(start, at - start));
    at += length;
    start = at;
  }
  if (start < text.size()) lines.push_back(text.substr(start));
  return lines;
}

std::string_view strip_left(std::string_view text) { return text.substr(skip_space(text, 0)); }

std::string_view strip_right(std::string_view text) {
  size_t end = text.size();
  while (end > 0) {
    const size_t start = previous_start(text, end);
    if (!is_space(decode_utf8(text, start).value)) break;
    end = start;
  }
  return text.substr(0, end);
}

std::string_view strip_space(std::string_view text) { return strip_right(strip_left(text)); }

std::vector<std::string_view> split_space(std::string_view text) {
  std::vector<std::string_view> pieces;
  size_t start = 0;
  for (size_t at = 0; at < text.size();) {
    const auto point = decode_utf8(text, at);
    const size_t next = at + static_cast<size_t>(point.length);
    if (is_space(point.value)) {
      if (at > start) pieces.push_back(text.substr(start, at - start));
      start = next;
    }
    at = next;
  }
  if (start < text.size()) pieces.push_back(text.substr(start));
  return pieces;
}

char32_t last_code_point(std::string_view text) {
  return text.empty() ? 0 : decode_utf8(text, previous_start(text, text.size())).value;
}

size_t count_sentences(std::string_view line) {
  size_t count = 0;
  bool open = false;  // something stands before the next mark
  for (size_t at = 0; at < line.size();) {
    const auto point = decode_utf8(line, at);
    const size_t next = at + static_cast<size_t>(point.length);
    if (!is_sentence_terminal(point.value)) {
      open |= !is_space(point.value);
      at = next;
      continue;
    }
    const size_t end = skip_marks(line, next);
    const size_t start = skip_space(line, end);
    const bool apart = start > end || is_full_width(point.value);
    const bool lower = start < line.size() && is_lower(decode_utf8(line, start).value);
    const bool abbreviated = point.value == '.' && end == next && is_abbreviation(line.substr(0, at));
    if (start == line.size() || (apart && !lower && !abbreviated)) {
      count += 1;
      open = false;
    } else {
      open = true;
    }
    at = start;
  }
  return count + (open ? 1 : 0);
}

}  // namespace gristmill::text

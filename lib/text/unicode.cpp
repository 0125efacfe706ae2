#include "text/unicode.hpp"

#include <utf8proc.h>

#include <algorithm>
#include <iterator>

namespace gristmill::text {

namespace {

struct Range {
  char32_t first, last;
};

template <size_t N>
bool in_ranges(const Range (&ranges)[N], char32_t value) {
  const auto* end = std::end(ranges);
  const auto* found = std::upper_bound(std::begin(ranges), end, value,
                                       [](char32_t v, const Range& range) { return v < range.first; });
  return found != std::begin(ranges) && value <= std::prev(found)->last;
}

// Scripts that put no spaces between words: Thai to Myanmar, Khmer, Tai, Hiragana, Han. Without a dictionary
// each letter is a word, as UAX #29 leaves it.
constexpr Range kUnspaced[] = {{0x0E01, 0x0EFF}, {0x1000, 0x109F}, {0x1780, 0x17DD}, {0x1950, 0x19DF},
                               {0x1A20, 0x1AAD}, {0x2E80, 0x2FDF}, {0x3005, 0x3007}, {0x3021, 0x3029},
                               {0x3041, 0x3096}, {0x309D, 0x309F}, {0x3400, 0x4DBF}, {0x4E00, 0x9FFF},
                               {0xA9E0, 0xA9FE}, {0xAA60, 0xAADF}, {0xF900, 0xFAFF}, {0x20000, 0x3FFFD}};
constexpr Range kKatakana[] = {{0x3031, 0x3035}, {0x309B, 0x309C}, {0x30A0, 0x30FA}, {0x30FC, 0x30FF},
                               {0x31F0, 0x31FF}, {0x32D0, 0x32FE}, {0x3300, 0x3357}, {0xFF66, 0xFF9D}};
constexpr Range kSentenceTerminals[] = {
    {0x21, 0x21},       {0x2E, 0x2E},       {0x3F, 0x3F},       {0x0589, 0x0589},   {0x061D, 0x061F},
    {0x06D4, 0x06D4},   {0x0700, 0x0702},   {0x07F9, 0x07F9},   {0x0837, 0x0837},   {0x0839, 0x0839},
    {0x083D, 0x083E},   {0x0964, 0x0965},   {0x104A, 0x104B},   {0x1362, 0x1362},   {0x1367, 0x1368},
    {0x166E, 0x166E},   {0x1735, 0x1736},   {0x1803, 0x1803},   {0x1809, 0x1809},   {0x1944, 0x1945},
    {0x1AA8, 0x1AAB},   {0x1B5A, 0x1B5B},   {0x1B5E, 0x1B5F},   {0x1C3B, 0x1C3C},   {0x1C7E, 0x1C7F},
    {0x2026, 0x2026},   {0x203C, 0x203D},   {0x2047, 0x2049},   {0x2E2E, 0x2E2E},   {0x2E3C, 0x2E3C},
    {0x3002, 0x3002},   {0xA4FF, 0xA4FF},   {0xA60E, 0xA60F},   {0xA6F3, 0xA6F3},   {0xA6F7, 0xA6F7},
    {0xA876, 0xA877},   {0xA8CE, 0xA8CF},   {0xA92F, 0xA92F},   {0xA9C8, 0xA9C9},   {0xAA5D, 0xAA5F},
    {0xAAF0, 0xAAF1},   {0xABEB, 0xABEB},   {0xFE52, 0xFE52},   {0xFE56, 0xFE57},   {0xFF01, 0xFF01},
    {0xFF0E, 0xFF0E},   {0xFF1F, 0xFF1F},   {0xFF61, 0xFF61},   {0x10A56, 0x10A57}, {0x11047, 0x11048},
    {0x110BE, 0x110C1}, {0x11141, 0x11143}, {0x111C5, 0x111C6}, {0x111CD, 0x111CD}, {0x111DE, 0x111DF},
    {0x11238, 0x11239}, {0x1123B, 0x1123C}, {0x1144B, 0x1144C}, {0x115C2, 0x115C3}, {0x115C9, 0x115D7},
    {0x11641, 0x11642}, {0x1173C, 0x1173E}, {0x16A6E, 0x16A6F}, {0x16AF5, 0x16AF5}, {0x16B37, 0x16B38},
    {0x16B44, 0x16B44}, {0x16E98, 0x16E98}, {0x1BC9F, 0x1BC9F}, {0x1DA88, 0x1DA88}};

WordClass class_of_punctuation(char32_t value) {
  switch (value) {
    case 0x00B7:
    case 0x0387:
    case 0x055F:
    case 0x05F4:
    case 0x2027:
      return WordClass::mid_letter;
    case 0x037E:
    case 0x0589:
    case 0x060C:
    case 0x060D:
    case 0x066C:
    case 0x07F8:
    case 0x2044:
    case 0xFF0C:
      return WordClass::mid_digit;
    case 0x2018:
    case 0x2019:
    case 0x2024:
    case 0xFF07:
    case 0xFF0E:
      return WordClass::mid_both;
    default:
      return WordClass::symbol;
  }
}

}  // namespace

bool is_space(char32_t value) {
  if (value < 0x80) return value == ' ' || (value >= 9 && value <= 13) || (value >= 0x1C && value <= 0x1F);
  return value == 0x85 || value == 0xA0 || value == 0x1680 || (value >= 0x2000 && value <= 0x200A) ||
         value == 0x2028 || value == 0x2029 || value == 0x202F || value == 0x205F || value == 0x3000;
}

WordClass detail::word_class_beyond_ascii(char32_t value) {
  if (is_space(value) || value == 0x200B) return WordClass::space;  // U+200B is a place to break
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(value))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_NL:
      if (value < 0x0E01) return WordClass::letter;
      if (in_ranges(kKatakana, value)) return WordClass::katakana;
      return in_ranges(kUnspaced, value) ? WordClass::single : WordClass::letter;
    case UTF8PROC_CATEGORY_ND:
      return WordClass::digit;
    case UTF8PROC_CATEGORY_NO:
      return WordClass::single;
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
      return WordClass::extend;
    case UTF8PROC_CATEGORY_PC:
      return WordClass::connector;
    case UTF8PROC_CATEGORY_CC:
      return WordClass::space;
    default:
      return class_of_punctuation(value);
  }
}

bool is_letter(char32_t value) {
  if (value < 0x80) return detail::kAsciiWordClass[value] == WordClass::letter;
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(value));
  return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
}

char32_t to_lower(char32_t value) {
  if (value < 0x80) return value >= 'A' && value <= 'Z' ? value + 32 : value;
  return static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(value)));
}

bool is_sentence_terminal(char32_t value) { return in_ranges(kSentenceTerminals, value); }

}  // namespace gristmill::text

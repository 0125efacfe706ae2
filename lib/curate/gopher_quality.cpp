#include <algorithm>
#include <bit>
#include <string>

#include "base/str.hpp"
#include "curate/gopher.hpp"
#include "text/lines.hpp"

namespace gristmill::curate {

namespace {

constexpr std::string_view kEllipsis = "\u2026", kBullet = "\u2022";
constexpr std::array<std::string_view, 8> kStopWords = {"the", "be",   "to",   "of",
                                                        "and", "that", "have", "with"};

/// Occurrences that do not overlap, as Python's str.count.
size_t count_of(std::string_view text, std::string_view needle) {
  size_t count = 0;
  for (size_t at = text.find(needle); at != std::string_view::npos;
       at = text.find(needle, at + needle.size()))
    ++count;
  return count;
}

/// Different stop words on the page.
int64_t stop_words_on(Page& page) {
  unsigned found = 0;
  for (const auto& token : page.tokens()) {
    if (token.size > 4 || token.size < 2) continue;
    const auto word = token.in(page.text());
    for (size_t i = 0; i < kStopWords.size(); ++i) {
      if (equals_ignoring_case(word, kStopWords[i])) found |= 1U << i;
    }
  }
  return std::popcount(found);
}

struct WordSums {
  double words = 0, word_chars = 0, tokens = 0, alphabetic = 0;
};

WordSums sum_words(Page& page) {
  WordSums sums;
  for (const auto& token : page.tokens()) {
    sums.words += token.is_word ? 1 : 0;
    sums.word_chars += token.is_word ? token.chars : 0;
    sums.alphabetic += token.is_alphabetic ? 1 : 0;
  }
  sums.tokens = static_cast<double>(page.tokens().size());
  return sums;
}

bool line_rules(Page& page, const GopherQualityOptions& options, Sheet& sheet) {
  const auto lines = text::split_lines(page.text());
  double bullets = 0, ellipses = 0;
  for (const auto line : lines) {
    const auto left = text::strip_left(line);
    bullets += left.starts_with(kBullet) || left.starts_with('-') ? 1 : 0;
    const auto right = text::strip_right(line);
    ellipses += right.ends_with("...") || right.ends_with(kEllipsis) ? 1 : 0;
  }
  const double count = std::max<double>(1, static_cast<double>(lines.size()));
  return sheet.drop_above("gopher_too_many_bullets", bullets / count, options.max_bullet_lines_ratio) ||
         sheet.drop_above("gopher_too_many_end_ellipsis", ellipses / count, options.max_ellipsis_lines_ratio);
}

}  // namespace

void gopher_quality(Page& page, const GopherQualityOptions& options, Sheet& sheet) {
  const WordSums sums = sum_words(page);
  if (sheet.drop_below("gopher_short_doc", sums.words, static_cast<double>(options.min_doc_words))) return;
  if (sheet.drop_above("gopher_long_doc", sums.words, static_cast<double>(options.max_doc_words))) return;
  if (sums.words == 0) return;  // nothing left to divide by
  const double mean = sums.word_chars / sums.words;
  if (sheet.drop_below("gopher_below_avg_threshold", mean, options.min_avg_word_length)) return;
  if (sheet.drop_above("gopher_above_avg_threshold", mean, options.max_avg_word_length)) return;
  const auto& text = page.text();
  const auto hashes = static_cast<double>(std::count(text.begin(), text.end(), '#'));
  const auto ellipses = static_cast<double>(count_of(text, "...") + count_of(text, kEllipsis));
  const double symbol_limit = options.max_symbol_word_ratio;
  if (sheet.drop_above("gopher_too_many_hashes", hashes / sums.tokens, symbol_limit)) return;
  if (sheet.drop_above("gopher_too_many_ellipsis", ellipses / sums.tokens, symbol_limit)) return;
  if (line_rules(page, options, sheet)) return;
  const double alphabetic = sums.alphabetic / sums.tokens;
  if (sheet.drop_below("gopher_below_alpha_threshold", alphabetic, options.min_alpha_words_ratio)) return;
  sheet.drop_below("gopher_enough_stop_words", static_cast<double>(stop_words_on(page)),
                   static_cast<double>(options.min_stop_words));
}

}  // namespace gristmill::curate

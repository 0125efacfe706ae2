#include <algorithm>

#include "base/hash.hpp"
#include "curate/gopher.hpp"
#include "text/lines.hpp"
#include "text/utf8.hpp"

namespace gristmill::curate {

namespace {

constexpr std::array<const char*, 3> kTopNames = {"top_2_gram", "top_3_gram", "top_4_gram"};
constexpr std::array<const char*, 6> kDuplicatedNames = {"duplicated_5_n_grams", "duplicated_6_n_grams",
                                                         "duplicated_7_n_grams", "duplicated_8_n_grams",
                                                         "duplicated_9_n_grams", "duplicated_10_n_grams"};

/// Pieces between runs of at least `run` newlines, empty ones at the ends included (a regular expression's
/// split).
std::vector<std::string_view> split_at_newlines(std::string_view text, size_t run) {
  std::vector<std::string_view> pieces;
  size_t start = 0;
  for (size_t at = text.find('\n'); at != std::string_view::npos; at = text.find('\n', at)) {
    size_t end = at;
    while (end < text.size() && text[end] == '\n') ++end;
    if (end - at >= run) {
      pieces.push_back(text.substr(start, at - start));
      start = end;
    }
    at = end;
  }
  pieces.push_back(text.substr(start));
  return pieces;
}

bool segment_rules(Page& page, const GopherRepetitionOptions& options, Sheet& sheet, Scratch& scratch) {
  const auto chars = static_cast<double>(page.chars());
  const auto judge = [&](const std::vector<std::string_view>& pieces, const char* count_rule,
                         double count_limit, const char* char_rule, double char_limit) {
    const auto duplicates = count_duplicates(pieces, scratch.table);
    const double count_share = static_cast<double>(duplicates.pieces) / static_cast<double>(pieces.size());
    return sheet.drop_above(count_rule, count_share, count_limit) ||
           sheet.drop_above(char_rule, static_cast<double>(duplicates.chars) / chars, char_limit);
  };
  return judge(split_at_newlines(text::strip_space(page.text()), 2), "dup_para_frac", options.dup_para_frac,
               "dup_para_char_frac", options.dup_para_char_frac) ||
         judge(split_at_newlines(page.text(), 1), "dup_line_frac", options.dup_line_frac,
               "dup_line_char_frac", options.dup_line_char_frac);
}

/// Not symmetric: "a b" and "b a" are two n-grams.
uint64_t combine(uint64_t key, uint64_t word) {
  key = key * 0x9E3779B97F4A7C15ULL + word;
  return key ^ (key >> 29);
}

/// Makes scratch.keys[i] the key of the n-gram at token i from that of the (n-1)-gram.
void extend_keys(Scratch& scratch, size_t n) {
  const auto& words = scratch.word_hashes;
  const size_t count = words.size() >= n ? words.size() - n + 1 : 0;
  scratch.keys.resize(count);
  for (size_t i = 0; i < count; ++i) scratch.keys[i] = combine(scratch.keys[i], words[i + n - 1]);
}

/// Sum of the lengths of tokens [at, at + n).
uint64_t chars_of(const std::vector<text::Token>& tokens, size_t at, size_t n) {
  uint64_t sum = 0;
  for (size_t i = at; i < at + n; ++i) sum += tokens[i].chars;
  return sum;
}

/// Length of the most frequent n-gram, joined with spaces, times its count; of equal counts the first seen.
/// One that occurs once repeats nothing.
uint64_t top_n_gram_chars(const std::vector<text::Token>& tokens, size_t n, Scratch& scratch) {
  scratch.table.reset(scratch.keys.size());
  uint32_t best_count = 0, best_first = 0;
  for (size_t i = 0; i < scratch.keys.size(); ++i) {
    auto& slot = scratch.table.slot(scratch.keys[i]);
    if (slot.count++ == 0) slot.first = static_cast<uint32_t>(i);
    if (slot.count > best_count || (slot.count == best_count && slot.first < best_first)) {
      best_count = slot.count;
      best_first = slot.first;
    }
  }
  return best_count < 2 ? 0 : (chars_of(tokens, best_first, n) + n - 1) * best_count;
}

/// Greedy scan: an n-gram seen before counts and is jumped over, a new one is remembered, and the scan moves
/// on by one.
uint64_t duplicated_n_gram_chars(const std::vector<text::Token>& tokens, size_t n, Scratch& scratch) {
  scratch.table.reset(scratch.keys.size());
  uint64_t chars = 0;
  for (size_t i = 0; i < scratch.keys.size();) {
    auto& slot = scratch.table.slot(scratch.keys[i]);
    if (slot.count != 0) {
      chars += chars_of(tokens, i, n);
      i += n;
    } else {
      slot.count = 1;
      ++i;
    }
  }
  return chars;
}

}  // namespace

Duplicates count_duplicates(std::span<const std::string_view> pieces, CountTable& table) {
  Duplicates found;
  table.reset(pieces.size());
  for (const auto piece : pieces) {
    if (table.slot(xxh3(piece)).count++ == 0) continue;
    found.pieces += 1;
    found.chars += text::count_code_points(piece);
  }
  return found;
}

void gopher_repetition(Page& page, const GopherRepetitionOptions& options, Sheet& sheet, Scratch& scratch) {
  if (page.chars() == 0) return;
  if (segment_rules(page, options, sheet, scratch)) return;
  const auto& tokens = page.tokens();
  scratch.word_hashes.resize(tokens.size());
  std::transform(tokens.begin(), tokens.end(), scratch.word_hashes.begin(),
                 [&](const text::Token& token) { return xxh3(token.in(page.text())); });
  scratch.keys = scratch.word_hashes;
  const auto chars = static_cast<double>(page.chars());
  for (size_t n = 2; n <= 10; ++n) {
    extend_keys(scratch, n);
    if (scratch.keys.empty()) return;
    if (n <= 4) {
      const auto top = static_cast<double>(top_n_gram_chars(tokens, n, scratch));
      if (sheet.drop_above(kTopNames[n - 2], top / chars, options.top_n_grams[n - 2])) return;
    } else {
      const auto duplicated = static_cast<double>(duplicated_n_gram_chars(tokens, n, scratch));
      if (sheet.drop_above(kDuplicatedNames[n - 5], duplicated / chars, options.duplicated_n_grams[n - 5]))
        return;
    }
  }
}

}  // namespace gristmill::curate

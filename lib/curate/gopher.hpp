#pragma once

// The rules of MassiveText (Rae et al. 2021, "Scaling Language Models: Methods, Analysis & Insights from
// Training Gopher", appendix A.1.1), as FineWeb's code has them, since its published numbers were made with
// that reading: a duplicate is every occurrence after the first; lengths are code points and the denominator
// is the whole text, white space included; the symbol and letter ratios divide by all tokens, the length rule
// counts words alone. Two deviations: stop words are matched without
// regard to case ("The" counts), as the paper's wording suggests; and an n-gram that occurs once is no
// repetition, where FineWeb's code measures it too (that strikes only pages which the 50-word rule drops
// anyway, but under a misleading reason).

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "curate/page.hpp"
#include "curate/sheet.hpp"

namespace gristmill::curate {

struct GopherQualityOptions {
  int64_t min_doc_words = 50;
  int64_t max_doc_words = 100'000;
  double min_avg_word_length = 3;
  double max_avg_word_length = 10;
  double max_symbol_word_ratio = 0.1;  ///< '#' and ellipses, each, a token
  double max_bullet_lines_ratio = 0.9;
  double max_ellipsis_lines_ratio = 0.3;
  double min_alpha_words_ratio = 0.8;
  int64_t min_stop_words = 2;  ///< different ones of: the be to of and that have with
};

/// Reasons gopher_short_doc … gopher_enough_stop_words.
void gopher_quality(Page& page, const GopherQualityOptions& options, Sheet& sheet);

struct GopherRepetitionOptions {
  double dup_para_frac = 0.3;
  double dup_para_char_frac = 0.2;
  double dup_line_frac = 0.3;
  double dup_line_char_frac = 0.2;
  std::array<double, 3> top_n_grams = {0.20, 0.18, 0.16};                           ///< n = 2 … 4
  std::array<double, 6> duplicated_n_grams = {0.15, 0.14, 0.13, 0.12, 0.11, 0.10};  ///< n = 5 … 10
};

/// Reasons dup_para_frac …, top_2_gram …, duplicated_5_n_grams ….
void gopher_repetition(Page& page, const GopherRepetitionOptions& options, Sheet& sheet, Scratch& scratch);

struct Duplicates {
  uint64_t pieces = 0;  ///< pieces equal to an earlier one
  uint64_t chars = 0;   ///< their code points
};
Duplicates count_duplicates(std::span<const std::string_view> pieces, CountTable& table);

}  // namespace gristmill::curate

#pragma once

// The rules of C4 (Raffel et al. 2020, §2.2) as FineWeb's code has them: lines are judged first and cut out
// of the text, then the page. The order within a line matters: a "lorem ipsum" in a line that was already cut
// does not condemn the page. And the paragraph rule of mC4 (Xue et al. 2021).

#include <cstdint>

#include "curate/page.hpp"
#include "curate/sheet.hpp"

namespace gristmill::curate {

struct C4Options {
  bool terminal_punctuation = true;  ///< cut lines that do not end in . ? ! " ' or that end in "..."
  bool remove_citations = true;      ///< delete [12], [edit], [citation needed]
  int64_t min_words_per_line = 3;
  int64_t max_word_length = 1000;  ///< code points; a line with a longer word is cut
  int64_t min_num_sentences = 5;
};

/// Replaces the page's text by the lines that stay. Reasons lorem_ipsum, curly_bracket, too_few_sentences; of
/// lines: too_long_word, no_terminal_punctuation, too_few_words, javascript, policy.
void c4_quality(Page& page, const C4Options& options, Sheet& sheet);

struct C4ParagraphOptions {
  int64_t min_paragraphs = 3;
  int64_t min_paragraph_length = 200;  ///< code points
};

/// mC4: at least three lines of 200 code points. Reason too_few_paragraphs.
void c4_paragraphs(Page& page, const C4ParagraphOptions& options, Sheet& sheet);

}  // namespace gristmill::curate

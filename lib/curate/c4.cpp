#include "curate/c4.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "base/str.hpp"
#include "text/lines.hpp"
#include "text/utf8.hpp"

namespace gristmill::curate {

namespace {

constexpr std::array<std::string_view, 6> kPolicies = {"terms of use", "privacy policy", "cookie policy",
                                                       "uses cookies", "use of cookies", "use cookies"};
constexpr std::array<std::string_view, 2> kCitations = {"[edit]", "[citation needed]"};

/// Bytes of the citation mark at `at`, or 0: "[", digits, "]" or one of two words.
size_t citation_length(std::string_view line, size_t at) {
  size_t end = at + 1;
  while (end < line.size() && line[end] >= '0' && line[end] <= '9') ++end;
  if (end < line.size() && line[end] == ']') return end + 1 - at;
  for (const auto mark : kCitations) {
    if (line.substr(at).starts_with(mark)) return mark.size();
  }
  return 0;
}

std::string without_citations(std::string_view line) {
  std::string out;
  out.reserve(line.size());
  for (size_t at = 0; at < line.size();) {
    const size_t length = line[at] == '[' ? citation_length(line, at) : 0;
    if (length == 0) out += line[at];
    at += length == 0 ? 1 : length;
  }
  return out;
}

bool ends_in_punctuation(std::string_view line) {
  return !line.empty() && std::string_view(".?!\"'").find(line.back()) != std::string_view::npos &&
         !line.ends_with("...");
}

bool has_long_word(const std::vector<std::string_view>& words, int64_t limit) {
  const auto bytes = static_cast<uint64_t>(limit);
  return std::any_of(words.begin(), words.end(), [&](std::string_view word) {
    return word.size() > bytes && text::count_code_points(word) > bytes;  // bytes are at least code points
  });
}

/// What the lines of a page came to.
struct LineResult {
  bool lorem_ipsum = false, curly_bracket = false;
  std::string text;
  int64_t sentences = 0;
};

class LineJudge {
 public:
  LineJudge(const C4Options& options, Sheet& sheet, bool all) : options_(options), sheet_(sheet), all_(all) {}

  /// Takes the line into the result or counts why not; false once the page is condemned.
  bool take(std::string_view line, LineResult& result) {
    line = text::strip_space(line);
    const auto words = text::split_space(line);
    if (has_long_word(words, options_.max_word_length)) return cut("too_long_word");
    std::string clean;
    if (options_.remove_citations && line.find('[') != std::string_view::npos) {
      clean = without_citations(line);
      line = clean;
    }
    if (options_.terminal_punctuation && !ends_in_punctuation(line)) return cut("no_terminal_punctuation");
    if (static_cast<int64_t>(words.size()) < options_.min_words_per_line) return cut("too_few_words");
    const std::string lower = to_lower_ascii(line);
    if (lower.find("lorem ipsum") != std::string::npos) return condemn(result.lorem_ipsum);
    if (lower.find("javascript") != std::string::npos) return cut("javascript");
    if (line.find('{') != std::string_view::npos) return condemn(result.curly_bracket);
    for (const auto policy : kPolicies) {
      if (lower.find(policy) != std::string::npos) return cut("policy");
    }
    result.sentences += static_cast<int64_t>(text::count_sentences(line));
    if (!result.text.empty()) result.text += '\n';
    result.text += line;
    return true;
  }

 private:
  bool cut(const char* reason) {
    sheet_.lines_removed[reason] += 1;
    return true;
  }
  bool condemn(bool& fact) const {
    fact = true;
    return all_;
  }

  const C4Options& options_;
  Sheet& sheet_;
  bool all_;
};

}  // namespace

void c4_quality(Page& page, const C4Options& options, Sheet& sheet) {
  LineResult result;
  LineJudge judge(options, sheet, sheet.all());
  for (const auto line : text::split_lines(page.text())) {
    if (!judge.take(line, result)) break;
  }
  if (sheet.drop_if("lorem_ipsum", result.lorem_ipsum)) return;
  if (sheet.drop_if("curly_bracket", result.curly_bracket)) return;
  if (sheet.drop_below("too_few_sentences", static_cast<double>(result.sentences),
                       static_cast<double>(options.min_num_sentences))) {
    return;
  }
  auto stripped = text::strip_space(result.text);
  if (stripped != page.text()) page.replace_text(std::string(stripped));
}

void c4_paragraphs(Page& page, const C4ParagraphOptions& options, Sheet& sheet) {
  int64_t paragraphs = 0;
  for (const auto line : split(page.text(), '\n')) {
    const auto length = static_cast<int64_t>(text::count_code_points(text::strip_space(line)));
    paragraphs += length >= options.min_paragraph_length ? 1 : 0;
  }
  sheet.drop_below("too_few_paragraphs", static_cast<double>(paragraphs),
                   static_cast<double>(options.min_paragraphs));
}

}  // namespace gristmill::curate

// Each constant of the rules, on both sides: at the limit a page passes, one step beyond it fails.

#include <array>
#include <chrono>
#include <stdexcept>
#include <string>

#include "curate/c4.hpp"
#include "curate/fineweb.hpp"
#include "curate/gopher.hpp"
#include "curate/pii.hpp"
#include "curate/recipe.hpp"
#include "support/catch.hpp"
#include "support/data.hpp"

using namespace gristmill;
using namespace gristmill::curate;

namespace {

std::string repeat(const std::string& piece, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += piece;
  return out;
}

/// Numbered words, all different, so that no repetition rule fires by accident.
std::string distinct(int count, const std::string& end = " ") {
  std::string out;
  for (int i = 0; i < count; ++i) out += "word" + std::to_string(1000 + i) + end;
  return out;
}

/// Everything the rules of a step measured on a text.
class Judged {
 public:
  Judged(Step step, const std::string& text, FilterOptions options = recipe("none")) : sheet_(true) {
    Page page(text);
    Scratch scratch;
    switch (step) {
      case Step::gopher_quality:
        gopher_quality(page, options.gopher_quality, sheet_);
        break;
      case Step::gopher_repetition:
        gopher_repetition(page, options.gopher_repetition, sheet_, scratch);
        break;
      case Step::c4:
        c4_quality(page, options.c4, sheet_);
        break;
      case Step::c4_paragraphs:
        c4_paragraphs(page, options.c4_paragraphs, sheet_);
        break;
      default:
        fineweb_quality(page, options.fineweb, sheet_, scratch);
    }
    text_ = page.text();
  }
  bool fails(const std::string& rule) const { return find(rule).failed; }
  double value(const std::string& rule) const { return find(rule).value; }
  uint64_t cut(const std::string& reason) const {
    const auto found = sheet_.lines_removed.find(reason);
    return found == sheet_.lines_removed.end() ? 0 : found->second;
  }
  const std::string& text() const { return text_; }

 private:
  const Measure& find(const std::string& rule) const {
    for (const auto& measure : sheet_.measures()) {
      if (measure.rule == rule) return measure;
    }
    FAIL("no measure " << rule);
    throw std::logic_error(rule);
  }
  Sheet sheet_;
  std::string text_;
};

Judged quality(const std::string& text) { return {Step::gopher_quality, text}; }
Judged repetition(const std::string& text) { return {Step::gopher_repetition, text}; }
Judged c4(const std::string& text) { return {Step::c4, text}; }
Judged fineweb(const std::string& text) { return {Step::fineweb, text}; }

}  // namespace

TEST_CASE("gopher counts words from 50 to 100000", "[curate]") {
  CHECK(quality(distinct(49)).fails("gopher_short_doc"));
  CHECK_FALSE(quality(distinct(50)).fails("gopher_short_doc"));
  CHECK(quality(distinct(49) + " ... !").fails("gopher_short_doc"));  // symbols are no words
  CHECK_FALSE(quality(distinct(100'000)).fails("gopher_long_doc"));
  CHECK(quality(distinct(100'001)).fails("gopher_long_doc"));
}

TEST_CASE("gopher wants a mean word length from 3 to 10 code points", "[curate]") {
  CHECK_FALSE(quality(repeat("abc ", 50)).fails("gopher_below_avg_threshold"));
  CHECK(quality(repeat("abc ", 50) + "ab").fails("gopher_below_avg_threshold"));
  CHECK_FALSE(quality(repeat("abcdefghij ", 50)).fails("gopher_above_avg_threshold"));
  CHECK(quality(repeat("abcdefghij ", 50) + "abcdefghijk").fails("gopher_above_avg_threshold"));
  CHECK(quality(repeat("\u00E9\u00E9\u00E9 ", 50)).value("gopher_below_avg_threshold") == 3);
}

TEST_CASE("gopher allows a tenth of the tokens to be hashes or ellipses", "[curate]") {
  CHECK_FALSE(quality(distinct(90) + repeat("# x ", 5) + repeat("#", 5)).fails("gopher_too_many_hashes"));
  CHECK(quality(distinct(9) + "#").value("gopher_too_many_hashes") == Approx(0.1));
  CHECK_FALSE(quality(distinct(9) + "#").fails("gopher_too_many_hashes"));
  CHECK(quality(distinct(8) + "#").fails("gopher_too_many_hashes"));
  CHECK_FALSE(quality(distinct(9) + "...").fails("gopher_too_many_ellipsis"));
  CHECK(quality(distinct(8) + "\u2026").fails("gopher_too_many_ellipsis"));
}

TEST_CASE("gopher allows nine of ten lines to be bullets and three of ten to end in an ellipsis",
          "[curate]") {
  CHECK_FALSE(quality(repeat(" - a line\n", 9) + "a line").fails("gopher_too_many_bullets"));
  CHECK(quality(repeat("\u2022 a line\n", 10) + "a line").fails("gopher_too_many_bullets"));
  CHECK_FALSE(
      quality(repeat("a line... \n", 3) + repeat("a line\n", 7)).fails("gopher_too_many_end_ellipsis"));
  CHECK(quality(repeat("a line\u2026\n", 3) + repeat("a line\n", 6)).fails("gopher_too_many_end_ellipsis"));
}

TEST_CASE("gopher wants a letter in four of five tokens and two different stop words", "[curate]") {
  CHECK_FALSE(quality(repeat("word ", 8) + "12 !").fails("gopher_below_alpha_threshold"));
  CHECK(quality(repeat("word ", 7) + "12 !").fails("gopher_below_alpha_threshold"));
  CHECK(quality(repeat("the ", 9)).fails("gopher_enough_stop_words"));
  CHECK_FALSE(quality("The mill of stone").fails("gopher_enough_stop_words"));
  for (const char* pair : {"the be", "to of", "and that", "have with"}) {
    CHECK(quality(pair).value("gopher_enough_stop_words") == 2);
  }
  CHECK(quality("").fails("gopher_short_doc"));
}

TEST_CASE("repetition limits on lines and paragraphs", "[curate]") {
  // 10 lines, 3 of them seen before, and 4 of 11.
  const std::string seven = distinct(7, " of a long enough line to weigh more\n");
  CHECK_FALSE(repetition(seven + "x\nx\nx\nx").fails("dup_line_frac"));
  CHECK(repetition(seven + "x\nx\nx\nx\nx").fails("dup_line_frac"));
  CHECK(repetition(seven + "x\nx\nx\nx").value("dup_line_frac") == Approx(3 / 11.0));
  CHECK(repetition("a\n\nb\n\na").value("dup_para_frac") == Approx(1 / 3.0));
  CHECK(repetition("a\n\nb\n\na").fails("dup_para_frac"));
  CHECK_FALSE(repetition("a\n\nb\n\nc\n\na").fails("dup_para_frac"));
  // 20 of 100 code points in a repeated line, and 20 of 99.
  const std::string line(20, 'x');
  CHECK_FALSE(repetition(line + "\n" + line + "\n" + std::string(58, 'y')).fails("dup_line_char_frac"));
  CHECK(repetition(line + "\n" + line + "\n" + std::string(57, 'y')).fails("dup_line_char_frac"));
  CHECK_FALSE(repetition(line + "\n\n" + line + "\n\n" + std::string(56, 'y')).fails("dup_para_char_frac"));
  CHECK(repetition(line + "\n\n" + line + "\n\n" + std::string(55, 'y')).fails("dup_para_char_frac"));
}

TEST_CASE("blank lines between paragraphs are no duplicate lines", "[curate]") {
  CHECK(repetition("one\n\ntwo\n\nthree\n\nfour").value("dup_line_frac") == 0);
}

TEST_CASE("the most frequent n-gram is measured with its spaces, the first seen of equals", "[curate]") {
  const auto judged = repetition("ab cd ab cd xyz uvw");
  CHECK(judged.value("top_2_gram") == Approx(5 * 2 / 19.0));
  CHECK(repetition("aa bb longer words here").value("top_2_gram") == 0);
}

TEST_CASE("duplicated n-grams are counted greedily and without overlap", "[curate]") {
  // "a b c d e" twice: the second is a duplicate of 5 characters of 20 + filler.
  const std::string text = "a b c d e f g h a b c d e i";
  CHECK(repetition(text).value("duplicated_5_n_grams") == Approx(5.0 / 27));
  CHECK(repetition(text).value("duplicated_6_n_grams") == 0);
  // A run of one word: the first window is new, then whole windows are jumped over.
  CHECK(repetition(repeat("x ", 16)).value("duplicated_5_n_grams") == Approx(15.0 / 32));
}

TEST_CASE("all nine n-gram limits have two sides", "[curate]") {
  const std::array<double, 9> limits = {0.20, 0.18, 0.16, 0.15, 0.14, 0.13, 0.12, 0.11, 0.10};
  for (size_t i = 0; i < limits.size(); ++i) {
    const std::string rule =
        i < 3 ? "top_" + std::to_string(i + 2) + "_gram" : "duplicated_" + std::to_string(i + 2) + "_n_grams";
    FilterOptions options = recipe("none");
    std::string phrase;
    for (size_t w = 0; w < i + 2; ++w) phrase += "phrase" + std::to_string(w) + " ";
    bool passed = false, failed = false;
    for (int filler = 60; filler >= 1; --filler) {
      const Judged judged(Step::gopher_repetition, phrase + distinct(filler) + phrase, options);
      CHECK(judged.fails(rule) == (judged.value(rule) > limits[i]));
      passed |= !judged.fails(rule);
      failed |= judged.fails(rule);
    }
    INFO(rule);
    CHECK((passed && failed));
  }
}

TEST_CASE("c4 cuts lines by their end, their words and what they say", "[curate]") {
  const auto cut = [](const std::string& line, const char* reason) { return c4(line).cut(reason) == 1; };
  for (const char* good :
       {"The wheel turns.", "Does it turn?", "It turns!", "He said \"turn\"", "Say 'it turns'"}) {
    CHECK_FALSE(cut(good, "no_terminal_punctuation"));
  }
  for (const char* bad :
       {"The wheel turns", "The wheel turns...", "The wheel turns:", "The wheel turns\u3002"}) {
    CHECK(cut(bad, "no_terminal_punctuation"));
  }
  CHECK(cut("Two words.", "too_few_words"));
  CHECK_FALSE(cut("Now three words.", "too_few_words"));
  CHECK_FALSE(cut("a b " + std::string(1000, 'c'), "too_long_word"));
  CHECK(cut("a b " + std::string(1001, 'c'), "too_long_word"));
  CHECK_FALSE(cut("a b " + repeat("\u00E9", 1000), "too_long_word"));
  CHECK(cut("Please turn JavaScript on.", "javascript"));
  for (const char* policy :
       {"terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "Use Cookies"}) {
    CHECK(cut(std::string("About the ") + policy + ".", "policy"));
  }
}

TEST_CASE("c4 wants five sentences and deletes citations", "[curate]") {
  CHECK_FALSE(c4(repeat("The old wheel turns.\n", 5)).fails("too_few_sentences"));
  CHECK(c4(repeat("The old wheel turns.\n", 4)).fails("too_few_sentences"));
  FilterOptions options = recipe("none");
  options.c4.min_num_sentences = 1;
  CHECK(Judged(Step::c4, "  It turns [1] well[edit] now[citation needed]. [] [x]. \n cut", options).text() ==
        "It turns  well now.  [x].");
}

TEST_CASE("a line that was cut before it was read does not condemn the page", "[curate]") {
  CHECK_FALSE(c4("lorem ipsum without a mark").fails("lorem_ipsum"));
  CHECK(c4("A lorem ipsum with a mark.").fails("lorem_ipsum"));
  CHECK_FALSE(c4("int main() {").fails("curly_bracket"));
  CHECK(c4("Write int main() { and run.").fails("curly_bracket"));
}

TEST_CASE("mc4 wants three lines of 200 code points", "[curate]") {
  const std::string line(200, 'x');
  const auto judge = [](const std::string& text) {
    return Judged(Step::c4_paragraphs, text).fails("too_few_paragraphs");
  };
  CHECK_FALSE(judge(line + "\n" + line + "\n" + line));
  CHECK(judge(line + "\n" + line + "\n" + line.substr(1) + " "));
  CHECK_FALSE(judge(repeat(repeat("\u00E9", 200) + "\n", 3)));
}

TEST_CASE("fineweb's limits have two sides", "[curate]") {
  const std::string mark = "a line of more than thirty code points, number %.\n";
  const auto lines = [](int with, int without, int brief) {
    std::string out;
    for (int i = 0; i < with; ++i) out += "This is line number " + std::to_string(i) + " and it is long.\n";
    for (int i = 0; i < without; ++i) out += "This is line number " + std::to_string(i) + " and it goes on\n";
    for (int i = 0; i < brief; ++i) out += "Short line " + std::to_string(i) + ".\n";
    return out;
  };
  CHECK_FALSE(fineweb(lines(12, 88, 0)).fails("line_punct_ratio"));
  CHECK(fineweb(lines(11, 88, 0)).fails("line_punct_ratio"));
  CHECK_FALSE(fineweb(lines(33, 0, 67)).fails("short_line_ratio"));
  CHECK(fineweb(lines(32, 0, 67)).fails("short_line_ratio"));
  CHECK(fineweb(std::string(30, 'x') + ".").value("short_line_ratio") == 0);
  CHECK(fineweb(std::string(29, 'x') + ".").value("short_line_ratio") == 1);
  const std::string twice(10, 'x');
  CHECK_FALSE(fineweb(twice + "\n" + twice + "\n" + std::string(980, 'y')).fails("char_dup_ratio"));
  CHECK(fineweb(twice + "\n" + twice + "\n" + std::string(979, 'y')).fails("char_dup_ratio"));
  CHECK_FALSE(fineweb(distinct(10) + "\n\n\n").fails("list_ratio"));
  CHECK(fineweb(distinct(10) + "\n\n\n\n").fails("list_ratio"));
}

TEST_CASE("masks hide what they found and cannot be found again", "[curate]") {
  std::string text = "Ann <ann.lee@example.org>, host 8.8.8.8, (212) 555-0100; at 10.0.0.1.";
  PiiOptions options;
  options.phone = true;
  Sheet sheet(true);
  CHECK(treat_pii(text, options, sheet));
  CHECK(text == "Ann <|||EMAIL_ADDRESS|||>, host |||IP_ADDRESS|||, |||PHONE_NUMBER|||; at 10.0.0.1.");
  CHECK(sheet.masked.at("email") == 1);
  CHECK_FALSE(treat_pii(text, options, sheet));
}

TEST_CASE("versions, dates, prices and catalogue numbers are no personal data", "[curate]") {
  for (const char* text :
       {"version 1.2.3.4.5", "on 12.10.2020", "1.2.3", "v8.8.8.8", "8.8.8.8a", "300.1.1.1"}) {
    CHECK(find_ips(text, false).empty());
  }
  for (const char* text :
       {"12345678901", "ISBN 013-110-3627", "12-123-123-1234", "2020-10-12", "123-45-6789", "1234567890x"}) {
    CHECK(find_phones(text).empty());
  }
}

TEST_CASE("masking hostile text takes linear time", "[curate]") {
  for (const char* piece : {"@", "a@", "a.", "a@b.", "1.", "1.2.3.", "(123) ", "1 ", "a@b.c-"}) {
    const std::string text = repeat(piece, 300'000);
    const auto start = std::chrono::steady_clock::now();
    find_emails(text);
    find_ips(text, true);
    find_phones(text);
    CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(2));
  }
}

TEST_CASE("constants are set by name and misspelt ones are refused", "[curate]") {
  FilterOptions options = recipe("fineweb");
  set_constant(options, "gopher_quality.min_doc_words", "7");
  set_constant(options, "gopher_repetition.top_3_gram", "0.5");
  set_constant(options, "pii.phone", "true");
  CHECK(options.gopher_quality.min_doc_words == 7);
  CHECK(options.gopher_repetition.top_n_grams[1] == 0.5);
  CHECK(options.pii.phone);
  CHECK_THROWS_WITH(set_constant(options, "gopher_quality.min_words", "7"), test::contains("no constant"));
  CHECK_THROWS_WITH(set_constant(options, "gopher_quality.min_doc_words", "7.5"),
                    test::contains("whole number"));
  CHECK_THROWS_WITH(recipe("gofer"), test::contains("no recipe"));
  CHECK(to_json(options).at("gopher_quality").at("min_doc_words").as_int() == 7);
}

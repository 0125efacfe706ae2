#include "tokenizer/pretokenizer.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "support/catch.hpp"
#include "text/utf8.hpp"
#include "tokenizer/samples.hpp"
#include "tokenizer/unicode_table.hpp"

using namespace gristmill;
using tokenizer::CharClass;

namespace {

std::vector<std::string> pieces(std::string_view text) {
  std::vector<std::string> result;
  for (size_t at = 0; at < text.size();) {
    const size_t end = tokenizer::next_piece(text, at);
    REQUIRE(end > at);
    REQUIRE(end <= text.size());
    result.emplace_back(text.substr(at, end - at));
    at = end;
  }
  return result;
}

using Pieces = std::vector<std::string>;

// The pattern read off its regular expression, alternative by alternative, over decoded characters: slow and
// plain.
class Oracle {
 public:
  explicit Oracle(std::string_view text) : text_(text) {
    for (size_t at = 0; at < text.size();) {
      const auto code_point = text::decode_utf8(text, at);
      const auto c = code_point.valid ? tokenizer::char_class(code_point.value) : CharClass::other;
      kinds_ += c == CharClass::space                                                      ? 's'
                : c == CharClass::number                                                   ? 'n'
                : c == CharClass::upper || c == CharClass::lower || c == CharClass::letter ? 'l'
                                                                                           : 'o';
      starts_.push_back(at);
      at += static_cast<size_t>(code_point.length);
    }
    starts_.push_back(text.size());
  }

  Pieces split() const {
    Pieces result;
    for (size_t i = 0; i < kinds_.size();) {
      const size_t end = match(i);
      result.emplace_back(text_.substr(starts_[i], starts_[end] - starts_[i]));
      i = end;
    }
    return result;
  }

 private:
  size_t run(size_t i, char kind) const {
    while (i < kinds_.size() && kinds_[i] == kind) ++i;
    return i;
  }
  size_t match(size_t i) const {
    for (const std::string_view word : {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"}) {
      if (text_.substr(starts_[i], word.size()) == word) return i + word.size();
    }
    const size_t after_space = text_[starts_[i]] == ' ' ? i + 1 : i;
    for (const char kind : {'l', 'n', 'o'}) {
      if (run(after_space, kind) > after_space) return run(after_space, kind);
      if (run(i, kind) > i) return run(i, kind);
    }
    const size_t end = run(i, 's');
    for (size_t stop = end; stop > i; --stop) {  // \s+(?!\S), giving back one by one
      if (stop == kinds_.size() || kinds_[stop] == 's') return stop;
    }
    return end;
  }

  std::string_view text_;
  std::string kinds_;
  std::vector<size_t> starts_;
};

}  // namespace

TEST_CASE("GPT-2's pattern keeps a space with the word behind it", "[tokenizer]") {
  CHECK(pieces("Hello world  now") == Pieces{"Hello", " world", " ", " now"});
  CHECK(pieces("a1b 22!? c") == Pieces{"a", "1", "b", " 22", "!?", " c"});
  CHECK(pieces(" .x") == Pieces{" .", "x"});
}

TEST_CASE("contractions are cut in lower case and never behind other punctuation", "[tokenizer]") {
  CHECK(pieces("don't we'll I've") == Pieces{"don", "'t", " we", "'ll", " I", "'ve"});
  CHECK(pieces("DON'T") == Pieces{"DON", "'", "T"});
  CHECK(pieces(" 's") == Pieces{" '", "s"});
  CHECK(pieces("''s") == Pieces{"''", "s"});
  CHECK(pieces("'lx 're") == Pieces{"'", "lx", " '", "re"});
  CHECK(pieces("'") == Pieces{"'"});
}

TEST_CASE("a run of white space leaves its last character to what follows, and keeps it at the end",
          "[tokenizer]") {
  CHECK(pieces("a\n\n b") == Pieces{"a", "\n\n", " b"});
  CHECK(pieces("a\n\nb") == Pieces{"a", "\n", "\n", "b"});
  CHECK(pieces("a \n ") == Pieces{"a", " \n "});
  CHECK(pieces("a\u00A0b") == Pieces{"a", "\u00A0", "b"});
  CHECK(pieces("a \u3000\u3000b") == Pieces{"a", " \u3000", "\u3000", "b"});
}

TEST_CASE("the scanner agrees with the regular expression read literally on random text", "[tokenizer]") {
  Rng rng(1, stream_of(RandomStream::test, 1));
  for (int i = 0; i < 4000; ++i) {
    const std::string text = test::random_text(rng, 1 + static_cast<size_t>(rng.below(30)), true);
    INFO(text);
    REQUIRE(pieces(text) == Oracle(text).split());
  }
}

TEST_CASE("every split at a safe cut gives the pieces of the whole", "[tokenizer]") {
  Rng rng(2, stream_of(RandomStream::test, 2));
  int cuts = 0;
  for (int i = 0; i < 1000; ++i) {
    const std::string text = test::random_text(rng, 40, true);
    const size_t cut = tokenizer::safe_cut(text, static_cast<size_t>(rng.below(text.size() + 2)));
    REQUIRE(cut <= text.size());
    if (cut == 0) continue;
    ++cuts;
    Pieces both = pieces(std::string_view(text).substr(0, cut));
    for (auto& piece : pieces(std::string_view(text).substr(cut))) both.push_back(piece);
    REQUIRE(both == pieces(text));
  }
  CHECK(cuts > 100);
  CHECK(tokenizer::safe_cut("nothing", 7) == 0);
  CHECK(tokenizer::safe_cut("two words", 9) == 3);
  CHECK(tokenizer::safe_cut("two  words", 10) == 0);
}

TEST_CASE("the class table knows Unicode 15.0", "[tokenizer]") {
  using tokenizer::char_class;
  CHECK(std::string(tokenizer::kUnicodeVersion) == "15.0.0");
  std::array<size_t, 7> count{};
  for (char32_t c = 0; c < 0x110000; ++c) ++count[static_cast<size_t>(char_class(c))];
  // Counts of the Unicode Character Database 15.0: DerivedGeneralCategory's totals, and White_Space's 25.
  CHECK(count[static_cast<size_t>(CharClass::upper)] == 1831 + 31);
  CHECK(count[static_cast<size_t>(CharClass::lower)] == 2233);
  CHECK(count[static_cast<size_t>(CharClass::letter)] == 397 + 131612);
  CHECK(count[static_cast<size_t>(CharClass::mark)] == 1985 + 452 + 13);
  CHECK(count[static_cast<size_t>(CharClass::number)] == 680 + 236 + 915);
  CHECK(count[static_cast<size_t>(CharClass::space)] == 25);
  CHECK(char_class(U'粉') == CharClass::letter);
  CHECK(char_class(0x10FFFF) == CharClass::other);
  CHECK(char_class(0xAC00) == CharClass::letter);  // inside a range that the database gives by its ends
}

TEST_CASE("a white-space run of a million characters is scanned in linear time", "[tokenizer]") {
  const std::string text = std::string(1000000, '\n') + "x";
  CHECK(pieces(text).size() == 3);
  std::string alternating;
  for (int i = 0; i < 300000; ++i) alternating += "  x";
  CHECK(pieces(alternating).size() == 600000);
}

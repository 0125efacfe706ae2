#include "text/words.hpp"

#include <chrono>
#include <string>
#include <vector>

#include "support/catch.hpp"

using namespace gristmill::text;

namespace {

std::vector<std::string> tokens_of(std::string_view text) {
  std::vector<std::string> out;
  for (const auto& token : split_words(text)) out.emplace_back(token.in(text));
  return out;
}

using Words = std::vector<std::string>;

}  // namespace

TEST_CASE("words and symbols are split at UAX 29 boundaries", "[text]") {
  CHECK(tokens_of("Don't stop: it's 3.14 or 1,000!") ==
        Words{"Don't", "stop", ":", "it's", "3.14", "or", "1,000", "!"});
  CHECK(tokens_of("end. Next") == Words{"end", ".", "Next"});
  CHECK(tokens_of("example.com") == Words{"example.com"});
  CHECK(tokens_of("a_b __x 12ab") == Words{"a_b", "__x", "12ab"});
  CHECK(tokens_of("wait... -----##") == Words{"wait", "...", "-----", "##"});
  CHECK(tokens_of("x,y 1.a") == Words{"x", ",", "y", "1", ".", "a"});
}

TEST_CASE("other scripts: marks stay with their letter, ideographs stand alone", "[text]") {
  CHECK(tokens_of("caf\u00E9 cafe\u0301") == Words{"caf\u00E9", "cafe\u0301"});
  CHECK(tokens_of("\u6F22\u5B57") == Words{"\u6F22", "\u5B57"});
  CHECK(tokens_of("\u30AB\u30BF\u30AB\u30CA") == Words{"\u30AB\u30BF\u30AB\u30CA"});
  CHECK(tokens_of("\u0440\u0443\u0441\u0441\u043A\u0438\u0439 l\u2019eau") ==
        Words{"\u0440\u0443\u0441\u0441\u043A\u0438\u0439", "l\u2019eau"});
  CHECK(tokens_of("a\u00A0b\u2003c\u200Bd") == Words{"a", "b", "c", "d"});
}

TEST_CASE("a token knows its code points and whether it is a word", "[text]") {
  const auto tokens = split_words("\u00FCber 42 -- x2");
  REQUIRE(tokens.size() == 4);
  CHECK(tokens[0].chars == 4);
  CHECK(tokens[0].size == 5);
  CHECK((tokens[1].is_word && !tokens[1].is_alphabetic));
  CHECK_FALSE(tokens[2].is_word);
  CHECK((tokens[3].is_word && tokens[3].is_alphabetic));
}

TEST_CASE("malformed bytes, NUL and the empty text are harmless", "[text]") {
  CHECK(split_words("").empty());
  CHECK(tokens_of(std::string_view("a\0b", 3)) == Words{"a", "b"});
  CHECK(tokens_of("a\xFF\xFE b").size() == 3);
  CHECK(tokens_of("\u0301") == Words{"\u0301"});
}

TEST_CASE("tokens cover everything but white space, in order", "[text]") {
  const std::string text = "One, two; 3.5 \u2014 caf\u00E9 \u6F22\u5B57 ...!? x_y a\xC3 .";
  size_t end = 0;
  for (const auto& token : split_words(text)) {
    for (size_t i = end; i < token.begin; ++i) CHECK(text[i] == ' ');
    end = token.begin + token.size;
  }
  CHECK(end == text.size());
}

TEST_CASE("splitting hostile runs takes linear time", "[text]") {
  for (const std::string piece : {"a.", "\u0301", "a'\u0301\u0301\u0301", "#", "x", "1,"}) {
    std::string text;
    while (text.size() < 2'000'000) text += piece;
    const auto start = std::chrono::steady_clock::now();
    CHECK_FALSE(split_words(text).empty());
    CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(2));
  }
}

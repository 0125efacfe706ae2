#include "text/lines.hpp"

#include <string>
#include <vector>

#include "support/catch.hpp"

using namespace gristmill::text;

using Pieces = std::vector<std::string_view>;

TEST_CASE("lines are cut where Python's splitlines cuts them", "[text]") {
  CHECK(split_lines("a\nb\r\nc\rd\n") == Pieces{"a", "b", "c", "d"});
  CHECK(split_lines("a\n\nb") == Pieces{"a", "", "b"});
  CHECK(split_lines("a\vb\fc\x1C"
                    "d\u0085e\u2028f\u2029g") == Pieces{"a", "b", "c", "d", "e", "f", "g"});
  CHECK(split_lines("").empty());
  CHECK(split_lines("\n") == Pieces{""});
}

TEST_CASE("white space of every script is stripped", "[text]") {
  CHECK(strip_space("\u3000 a b\t\u00A0\n") == "a b");
  CHECK(strip_left("  a ") == "a ");
  CHECK(strip_right("  a ") == "  a");
  CHECK(strip_space(" \n ").empty());
  CHECK(strip_right("a\xA0") == "a\xA0");  // a malformed byte is no white space
  CHECK(split_space(" one\u2003two\n three ") == Pieces{"one", "two", "three"});
}

TEST_CASE("sentences end at a mark with space and no lower case behind it", "[text]") {
  CHECK(count_sentences("One. Two! Three?") == 3);
  CHECK(count_sentences("No mark at the end") == 1);
  CHECK(count_sentences("One. and more") == 1);
  CHECK(count_sentences("He said \"Stop.\" Then he left.") == 2);
  CHECK(count_sentences("Version 3.14 is out. Get it at example.com.") == 2);
  CHECK(count_sentences("Dr. Smith met J. Doe. They talked.") == 2);
  CHECK(count_sentences("\u4F60\u597D\u3002\u518D\u89C1\u3002") == 2);
  CHECK(count_sentences("Really?! Yes...") == 2);
  CHECK(count_sentences("") == 0);
}

TEST_CASE("the last code point is decoded backwards", "[text]") {
  CHECK(last_code_point("ab\u3002") == 0x3002);
  CHECK(last_code_point("a") == 'a');
  CHECK(last_code_point("") == 0);
}

#include "text/normalize.hpp"

#include "support/catch.hpp"

using namespace gristmill::text;

TEST_CASE("texts that differ in case, punctuation, spacing and composition have one normal form", "[text]") {
  CHECK(normalize("  The QUICK,\n brown - fox!! ") == "the quick brown fox");
  CHECK(normalize("Caf\u00E9 \u00C9T\u00C9") == "caf\u00E9 \u00E9t\u00E9");
  CHECK(normalize("Cafe\u0301") == normalize("CAF\u00C9"));
  CHECK(normalize("\u1112\u1161\u11AB") == normalize("\uD55C"));
  CHECK(normalize("\u212B") == normalize("\u00C5"));
}

TEST_CASE("digits and inner apostrophes count", "[text]") {
  CHECK(normalize("don't 3.5") == "don't 3.5");
  CHECK(normalize("version 1") != normalize("version 2"));
}

TEST_CASE("a text of symbols alone has an empty normal form", "[text]") {
  CHECK(normalize("*** --- !!!").empty());
  CHECK(normalize("").empty());
}

TEST_CASE("malformed text is normalised like its replacement", "[text]") {
  CHECK(normalize("a \xFF b") == "a b");
  CHECK(compose("a\xFF") == "a\uFFFD");
}

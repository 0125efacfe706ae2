#include "base/toml.hpp"

#include <string>

#include "base/error.hpp"
#include "base/rng.hpp"
#include "support/catch.hpp"

using namespace gristmill;

TEST_CASE("TOML of every kind is read", "[base]") {
  CHECK(parse_toml("").dump() == "{}");
  CHECK(parse_toml("# only\n\n  # comments").dump() == "{}");
  CHECK(parse_toml("a = 1\nb=-2.5e3\r\nc = true # yes\nd = 1_000\ne = +7").dump() ==
        R"({"a":1,"b":-2500.0,"c":true,"d":1000,"e":7})");
  CHECK(parse_toml(R"(a = "x # y, \"z\" \u00e9\n")").at("a").as_string() == "x # y, \"z\" é\n");
  CHECK(parse_toml(R"(a = 'C:\new')").at("a").as_string() == "C:\\new");
  CHECK(parse_toml("a = [1, [2, 'x'],\n # inside\n 3,\n]").dump() == R"({"a":[1,[2,"x"],3]})");
  CHECK(parse_toml("a = { b = 1, c.d = [] }").dump() == R"({"a":{"b":1,"c":{"d":[]}}})");
  CHECK(parse_toml("x = 0\n[t]\na = 1\n[t.u]\nb = 2\n[\"q r\"]\nc.d = 3").dump() ==
        R"({"x":0,"t":{"a":1,"u":{"b":2}},"q r":{"c":{"d":3}}})");
}

TEST_CASE("damaged TOML is an error that names the line", "[base]") {
  for (const std::string text : {"a",
                                 "a =",
                                 "a = b",
                                 "= 1",
                                 "a = 1 2",
                                 "a = \"x",
                                 "a = [1",
                                 "a = [1 2]",
                                 "a = {b=1",
                                 "[t",
                                 "[t]\n[t]",
                                 "a = 1\na = 2",
                                 "a = 1\n[a]",
                                 "a = 1\na.b = 2",
                                 "a = \"\\q\"",
                                 "a = \"\\ud800\"",
                                 "a = \"\\u12\"",
                                 "a = \"\\",
                                 "a = \"\\u",
                                 "a = \"x\\u00e",
                                 "a = '''x'''",
                                 "[[t]]",
                                 "a = 1979-05-27",
                                 "a = inf",
                                 "a = 1__0",
                                 "a = _1",
                                 "{\"a\": 1}",
                                 "a: 1"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(parse_toml(text), Error);
  }
  CHECK_THROWS_WITH(parse_toml("a = 1\n\nb = oops", "file.toml"),
                    test::contains("file.toml: line 3: \"oops\" is no value"));
  CHECK_THROWS_AS(parse_toml("a = " + std::string(100000, '[')), Error);
}

TEST_CASE("TOML with any bytes changed is read or a usage error", "[base]") {
  const std::string good = "a = [1, \"x\\u00e9\", {b = 2.5}]\n[t.\"u v\"]\nc = 'd' # e\n";
  Rng rng(3, stream_of(RandomStream::test, 2));
  for (int i = 0; i < 5000; ++i) {
    std::string bad = good;
    for (uint64_t changes = 1 + rng.below(4); changes > 0; --changes) {
      bad[rng.below(bad.size())] = static_cast<char>(rng.below(128));
    }
    try {
      parse_toml(bad.substr(0, rng.below(2) == 0 ? bad.size() : rng.below(bad.size())));
    } catch (const Error& error) {
      CHECK(error.kind() == Kind::usage);
    }
  }
}

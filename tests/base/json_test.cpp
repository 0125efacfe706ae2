#include "base/json.hpp"

#include <cmath>
#include <limits>
#include <string>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/rng.hpp"
#include "support/catch.hpp"
#include "support/scratch.hpp"

using namespace gristmill;

namespace {

std::string rewritten(const std::string& text) { return Json::parse(text).dump(); }

bool rejected(const std::string& text) {
  try {
    Json::parse(text);
  } catch (const Error& error) {
    return error.kind() == Kind::input;
  }
  return false;
}

}  // namespace

TEST_CASE("JSON is written back as it was read, keys in their order", "[base]") {
  for (const std::string text :
       {R"({"z":1,"a":[true,false,null],"m":{"x":-7,"y":""}})", R"([])", R"({})", R"("")", "null", "0", "-1",
        "9223372036854775807", "-9223372036854775808", "18446744073709551615", "0.1", "1e+300", "-2.5e-08",
        R"("é 中 😀 \"\\\n\t\u0001")", R"([[[[]]]])"}) {
    CAPTURE(text);
    CHECK(rewritten(text) == text);
  }
}

TEST_CASE("escapes become the characters that they stand for", "[base]") {
  CHECK(Json::parse(R"("\u00e9\ud83d\ude00\/")").as_string() == "é😀/");
  CHECK(Json::parse("\"a\\u0000b\"").as_string() == std::string("a\0b", 3));
}

TEST_CASE("a double is written so that it reads back to the same bits and stays a double", "[base]") {
  CHECK(Json(3.0).dump() == "3.0");
  CHECK_FALSE(Json::parse("3.0").is_integer());
  Rng rng(1, stream_of(RandomStream::test));
  for (int i = 0; i < 2000; ++i) {
    const double value = (rng.uniform() - 0.5) * std::pow(10.0, static_cast<double>(rng.below(600)) - 300);
    CHECK(Json::parse(Json(value).dump()).as_double() == value);
  }
}

TEST_CASE("what JSON cannot say becomes null, and bytes that are no UTF-8 become U+FFFD", "[base]") {
  CHECK(Json(std::numeric_limits<double>::quiet_NaN()).dump() == "null");
  CHECK(Json(std::numeric_limits<double>::infinity()).dump() == "null");
  CHECK(Json("a\xff\xc3z").dump() == "\"a\uFFFD\uFFFDz\"");
  CHECK(Json("\xed\xa0\x80").dump() == "\"\uFFFD\uFFFD\uFFFD\"");  // a lone surrogate
  CHECK(Json("\xf4\x90\x80\x80").dump() == "\"\uFFFD\uFFFD\uFFFD\uFFFD\"");
  CHECK_FALSE(rejected(Json(std::string("\x80\xc0\xaf", 3)).dump()));
}

TEST_CASE("text that is not one JSON value is rejected", "[base]") {
  for (const std::string text :
       {"",          " ",           "{",    "[1,]",     "{\"a\":1,}",       "{a:1}",
        "nul",       "01",          "1 2",  "\"a",      "\"\\x\"",          "[1}",
        "+1",        "NaN",         "'a'",  "\"\xff\"", "\"\xed\xa0\x80\"", "\"\x01\"",
        "{\"a\" 1}", "\"\\ud800\"", "1e999"}) {
    CAPTURE(text);
    CHECK(rejected(text));
  }
}

TEST_CASE("nesting is bounded, and a million brackets are an error like any other", "[base]") {
  CHECK_NOTHROW(Json::parse(std::string(200, '[') + std::string(200, ']')));
  CHECK(rejected(std::string(201, '[') + std::string(201, ']')));
  CHECK(rejected(std::string(1000000, '[')));
  std::string objects;
  for (int i = 0; i < 100000; ++i) objects += "{\"a\":";
  CHECK(rejected(objects));
  CHECK_THROWS_WITH(Json::parse("[[1]]", "line 7", 1), Catch::Matchers::StartsWith("line 7: "));
}

TEST_CASE("of equal keys the last value wins at the first place, in small and in large objects", "[base]") {
  CHECK(rewritten(R"({"a":1,"b":2,"a":3})") == R"({"a":3,"b":2})");
  std::string large = "{";
  for (int i = 0; i < 300; ++i) large += str(i > 0 ? "," : "", "\"k", i % 150, "\":", i);
  const auto parsed = Json::parse(large + "}");
  REQUIRE(parsed.as_object().size() == 150);
  CHECK(parsed.as_object()[0].first == "k0");
  CHECK(parsed.at("k0").as_int() == 150);
  CHECK(parsed.at("k149").as_int() == 299);
}

TEST_CASE("damaged JSON is either read or an input error, whatever bytes are changed", "[base]") {
  const std::string good = R"({"id":"a","text":"caf\u00e9 é","n":[1,-2.5e3,true,null,{"x":{}}]})";
  Rng rng(7, stream_of(RandomStream::test, 1));
  for (int i = 0; i < 5000; ++i) {
    std::string bad = good;
    for (uint64_t changes = 1 + rng.below(3); changes > 0; --changes) {
      const auto at = rng.below(bad.size());
      switch (rng.below(3)) {
        case 0:
          bad[at] = static_cast<char>(rng.below(256));
          break;
        case 1:
          bad.erase(at, 1 + rng.below(4));
          break;
        default:
          bad.insert(at, 1, static_cast<char>(rng.below(256)));
      }
      if (bad.empty()) bad = "x";
    }
    try {
      const auto text = Json::parse(bad).dump();
      CHECK(Json::parse(text).dump() == text);
    } catch (const Error& error) {
      CHECK(error.kind() == Kind::input);
    }
  }
}

TEST_CASE("typed access names the type that was wanted", "[base]") {
  const auto value = Json::parse(R"({"s":"x","n":-1,"big":18446744073709551615,"d":1.5})");
  CHECK_THROWS_WITH(value.at("s").as_int(), test::contains("integer"));
  CHECK_THROWS_AS(value.at("n").as_uint(), Error);
  CHECK_THROWS_AS(value.at("big").as_int(), Error);
  CHECK_THROWS_AS(value.at("d").as_int(), Error);
  CHECK(value.at("big").as_uint() == UINT64_MAX);
  CHECK(value.at("n").as_double() == -1.0);
  CHECK_THROWS_WITH(value.at("absent"), test::contains("absent"));
  CHECK(value.find("absent") == nullptr);
  CHECK(Json(1).find("s") == nullptr);
}

TEST_CASE("members are made, replaced and erased in place", "[base]") {
  Json value;
  value["b"] = 1;
  value["a"]["deep"] = "x";
  value["b"] = 2;
  value["list"].push_back(1);
  CHECK(value.dump() == R"({"b":2,"a":{"deep":"x"},"list":[1]})");
  value.erase("a");
  CHECK(value.dump(2) == "{\n  \"b\": 2,\n  \"list\": [\n    1\n  ]\n}");
}

TEST_CASE("a JSON file over its limit is an error that names the file", "[base]") {
  const test::ScratchFolder folder;
  write_file(folder.file("x.json"), "[1,2,3]");
  CHECK(read_json_file(folder.file("x.json")).as_array().size() == 3);
  CHECK_THROWS_WITH(read_json_file(folder.file("x.json"), 3), test::contains("x.json"));
}

TEST_CASE("a number is the same whether it came as signed or unsigned", "[base]") {
  CHECK(Json(uint64_t{5}) == Json(5));
  CHECK(Json(uint64_t{5}).as_int() == 5);
  CHECK(Json(UINT64_MAX).as_uint() == UINT64_MAX);
  CHECK(Json::parse("5") == Json(uint64_t{5}));
}

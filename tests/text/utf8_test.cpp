#include "text/utf8.hpp"

#include <string>

#include "support/catch.hpp"

using namespace gristmill::text;

TEST_CASE("every code point survives encoding and decoding", "[text]") {
  for (char32_t value = 0; value <= 0x10FFFF; ++value) {
    if (value == 0xD800) value = 0xE000;
    std::string bytes;
    append_utf8(bytes, value);
    const auto point = decode_utf8(bytes, 0);
    if (!point.valid || point.value != value || static_cast<size_t>(point.length) != bytes.size()) {
      FAIL("code point " << static_cast<uint32_t>(value));
    }
  }
}

TEST_CASE("overlong forms, surrogates, high values and cut sequences are malformed", "[text]") {
  for (const char* bytes : {"\xC0\xAF", "\xC1\xBF", "\xE0\x80\xAF", "\xED\xA0\x80", "\xF4\x90\x80\x80",
                            "\xF8\x88\x80\x80\x80", "\x80", "\xE2\x82", "\xF0\x9F\x98", "\xFF"}) {
    CHECK_FALSE(is_valid_utf8(bytes));
  }
  CHECK(is_valid_utf8("a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80"));
  CHECK(is_valid_utf8(std::string_view("\0", 1)));
}

TEST_CASE("a malformed sequence becomes one replacement for each maximal subpart", "[text]") {
  // The example of The Unicode Standard, table 3-8.
  CHECK(to_valid_utf8("\x61\xF1\x80\x80\xE1\x80\xC2\x62\x80\x63\x80\xBF\x64") ==
        "a\uFFFD\uFFFD\uFFFD"
        "b\uFFFD"
        "c\uFFFD\uFFFD"
        "d");
  CHECK(count_code_points("\xE2\x82"
                          "a") == 2);
  CHECK(count_code_points("a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80") == 4);
}

TEST_CASE("what is no scalar value is encoded as the replacement", "[text]") {
  std::string out;
  append_utf8(out, 0xD800);
  append_utf8(out, 0x110000);
  CHECK(out == "\uFFFD\uFFFD");
}

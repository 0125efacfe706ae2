#include "base/str.hpp"

#include "support/catch.hpp"

using namespace gristmill;

TEST_CASE("numbers are parsed whole or not at all", "[base]") {
  CHECK(parse_int("-12") == -12);
  CHECK_FALSE(parse_int("12x"));
  CHECK_FALSE(parse_int(" 12"));
  CHECK_FALSE(parse_int(""));
  CHECK_FALSE(parse_int("9223372036854775808"));
  CHECK(parse_uint("18446744073709551615") == UINT64_MAX);
  CHECK_FALSE(parse_uint("-1"));
  CHECK(parse_double("1e-3") == 1e-3);
}

TEST_CASE("sizes take binary suffixes and refuse overflow", "[base]") {
  CHECK(parse_size("64") == 64u);
  CHECK(parse_size("64k") == 65536u);
  CHECK(parse_size("64KiB") == 65536u);
  CHECK(parse_size("2G") == (uint64_t{2} << 30));
  CHECK_FALSE(parse_size("2X"));
  CHECK_FALSE(parse_size("k"));
  CHECK_FALSE(parse_size("99999999999T"));
}

TEST_CASE("str joins values of all kinds", "[base]") {
  CHECK(str("a", 1, ' ', 2.5, true, uint64_t{7}) == "a1 2.5true7");
}

TEST_CASE("a quoted text shows bytes that cannot be printed", "[base]") {
  CHECK(in_quotes(std::string_view("a\0\xff", 3)) == "\"a\\x00\\xff\"");
  CHECK(in_quotes(std::string(100, 'x')).size() == 80 + 2 + 3);
}

#include "text/url.hpp"

#include "support/catch.hpp"

using namespace gristmill::text;

TEST_CASE("a URL is taken apart", "[text]") {
  const auto url = parse_url("HTTPS://user:pw@WWW.Example.co.uk.:8080/a/b?x=1&y=?#top");
  REQUIRE(url);
  CHECK(url->scheme == "https");
  CHECK(url->host == "www.example.co.uk");
  CHECK(url->port == "8080");
  CHECK(url->path == "/a/b");
  CHECK(url->query == "x=1&y=?");
  CHECK(url->fragment == "top");
}

TEST_CASE("schemes may be absent and brackets are removed", "[text]") {
  CHECK(parse_url("example.com/x")->host == "example.com");
  CHECK(parse_url("//example.com")->host == "example.com");
  CHECK(parse_url("<http://example.com/a>")->path == "/a");
  CHECK(parse_url("http://[2001:db8::1]:80/")->host == "[2001:db8::1]");
}

TEST_CASE("what has no host is no URL", "[text]") {
  for (const char* bad :
       {"", "http://", "http:///path", "http://a b/", "http://host:port/", "/only/a/path"}) {
    CHECK_FALSE(parse_url(bad));
  }
}

TEST_CASE("the registered domain follows the public suffix list", "[text]") {
  CHECK(registered_domain("www.example.co.uk") == "example.co.uk");
  CHECK(registered_domain("a.b.example.com") == "example.com");
  CHECK(registered_domain("example.com") == "example.com");
  CHECK(registered_domain("co.uk").empty());
  CHECK(registered_domain("127.0.0.1").empty());
  CHECK(registered_domain("").empty());
}

#include "web/http.hpp"

#include <zstd.h>

#include "crawl_samples.hpp"

using namespace gristmill;
using namespace gristmill::test;
using web::decode_body;
using web::HttpBody;
using web::HttpResponse;

namespace {

constexpr uint64_t kLimit = 1 << 20;

HttpBody decode(const std::string& message, uint64_t limit = kLimit) {
  HttpResponse response;
  REQUIRE(web::parse_http_response(message, response));
  return decode_body(response, limit);
}

std::string chunked(const std::string& body) { return http_response(body, "Transfer-Encoding: chunked\r\n"); }

}  // namespace

TEST_CASE("a response is split into status, fields and body", "[web]") {
  HttpResponse response;
  REQUIRE(
      web::parse_http_response("HTTP/1.0 404\nContent-type:  text/html \nA: b: c\n\nbody\n\nmore", response));
  CHECK(response.status == 404);
  CHECK(response.header("CONTENT-TYPE") == "text/html");
  CHECK(response.header("a") == "b: c");
  CHECK(response.header("absent").empty());
  CHECK(response.body == "body\n\nmore");
  CHECK_FALSE(web::parse_http_response("", response));
  CHECK_FALSE(web::parse_http_response("HTTP/1.1", response));
  CHECK_FALSE(web::parse_http_response("HTTP/1.1 abc\r\n\r\n", response));
  CHECK_FALSE(web::parse_http_response("<html>", response));
  REQUIRE(web::parse_http_response("HTTP/1.1 200 OK\r\nno colon\r\nA: b", response));
  CHECK(response.body.empty());
}

TEST_CASE("field names are compared whole", "[web]") {
  // Common Crawl renames the fields of what it undid.
  const auto body = decode(http_response("<p>plain",
                                         "X-Crawler-Transfer-Encoding: chunked\r\n"
                                         "X-Crawler-Content-Encoding: gzip\r\n"));
  CHECK(body.bytes == "<p>plain");
  CHECK_FALSE(body.not_chunked);
  CHECK_FALSE(body.not_compressed);
}

TEST_CASE("chunks are joined, sizes in any form", "[web]") {
  CHECK(decode(chunked("3\r\nabc\r\n0000000A;x=y\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n")).bytes ==
        "abc0123456789");
  CHECK(decode(chunked("3\nabc\n2 \nde\n0\n\n")).bytes == "abcde");
  CHECK_FALSE(decode(chunked("3\r\nabc\r\n0\r\n\r\n")).cut);
}

TEST_CASE("a body that is not chunked although it says so stays as it is", "[web]") {
  const auto body = decode(chunked("<html>not chunked"));
  CHECK(body.bytes == "<html>not chunked");
  CHECK(body.not_chunked);
}

TEST_CASE("chunks that end early or go wrong keep what there is", "[web]") {
  const auto early = decode(chunked("5\r\nabc"));
  CHECK(early.bytes == "abc");
  CHECK(early.cut);
  const auto wrong = decode(chunked("3\r\nabc\r\n<p>rest"));
  CHECK(wrong.bytes == "abc<p>rest");
  CHECK(wrong.cut);
  CHECK(decode(chunked("FFFFFFFFFFFFFFF\r\nabc")).bytes == "abc");
  CHECK(decode(chunked("10000000000000000\r\nabc")).not_chunked);
}

TEST_CASE("gzip, deflate in both forms and zstd are undone", "[web]") {
  const std::string text = "<html>" + std::string(5000, 'x');
  std::string zstd(ZSTD_compressBound(text.size()), '\0');
  zstd.resize(ZSTD_compress(zstd.data(), zstd.size(), text.data(), text.size(), 1));
  CHECK(decode(http_response(deflate_text(text), "Content-Encoding: gzip\r\n")).bytes == text);
  CHECK(decode(http_response(deflate_text(text), "Content-Encoding: x-gzip\r\n")).bytes == text);
  CHECK(decode(http_response(deflate_text(text), "")).bytes == text);  // and says nothing of it
  CHECK(decode(http_response(deflate_text(text, 15), "Content-Encoding: deflate\r\n")).bytes == text);
  CHECK(decode(http_response(deflate_text(text, -15), "Content-Encoding: deflate\r\n")).bytes == text);
  CHECK(decode(http_response(zstd, "Content-Encoding: zstd\r\n")).bytes == text);
}

TEST_CASE("chunks around a compressed body are undone first", "[web]") {
  const std::string packed = deflate_text("<html>both");
  const auto body =
      decode(http_response(str("1\r\n", packed.substr(0, 1), "\r\n", "ff\r\n", packed.substr(1)),
                           "Transfer-Encoding: Chunked\r\nContent-Encoding: GZIP\r\n"));
  CHECK(body.bytes == "<html>both");
}

TEST_CASE("bodies that lie about their compression are taken as they are", "[web]") {
  for (const std::string encoding : {"gzip", "deflate", "br", "zstd"}) {
    const auto body = decode(http_response("<html>plain", "Content-Encoding: " + encoding + "\r\n"));
    CHECK(body.bytes == "<html>plain");
    CHECK(body.not_compressed);
  }
}

TEST_CASE("what cannot be decompressed is not passed on as text", "[web]") {
  const auto body =
      decode(http_response(std::string("\x8b\x00\x80\x03\x00garbage", 12), "Content-Encoding: br\r\n"));
  CHECK(body.unsupported);
  CHECK(body.bytes.empty());
}

TEST_CASE("a compressed body that is cut off gives its beginning", "[web]") {
  std::string text = "<html>";
  for (int i = 0; i < 2000; ++i) text += str("word", i * i, ' ');
  const std::string packed = deflate_text(text);
  const auto body = decode(http_response(packed.substr(0, packed.size() / 2), "Content-Encoding: gzip\r\n"));
  CHECK(body.cut);
  CHECK(body.bytes.size() > 100);
  CHECK(text.substr(0, body.bytes.size()) == body.bytes);
}

TEST_CASE("a body that decodes beyond the limit takes no more than the limit", "[web]") {
  const auto bomb =
      decode(http_response(deflate_text(std::string(4 << 20, 'x')), "Content-Encoding: gzip\r\n"));
  CHECK(bomb.too_large);
  CHECK(bomb.bytes.empty());
  CHECK(decode(http_response(std::string(100, 'x')), 99).too_large);
  CHECK_FALSE(decode(http_response(std::string(99, 'x')), 99).too_large);
}

TEST_CASE("a Content-Type value gives its media type and charset", "[web]") {
  CHECK(web::media_type(" Text/HTML ; charset=utf-8") == "text/html");
  CHECK(web::charset_parameter("text/html; charset=UTF-8") == "utf-8");
  CHECK(web::charset_parameter("text/html; Charset = \"iso-8859-1\"") == "iso-8859-1");
  CHECK(web::charset_parameter("text/html; charset='x' ; y") == "x");
  CHECK(web::charset_parameter("text/html; charset=a;b") == "a");
  CHECK(web::charset_parameter("text/html").empty());
  CHECK(web::charset_parameter("charset; charset=b") == "b");
}

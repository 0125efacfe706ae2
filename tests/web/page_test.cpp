#include "web/page.hpp"

#include "crawl_samples.hpp"
#include "web/langid.hpp"
#include "web/page_info.hpp"

using namespace gristmill;
using namespace gristmill::test;
using web::CrawlOptions;
using web::PageResult;
using web::process_record;
using web::WarcRecord;

namespace {

const std::string kEnglish =
    "<html><head><title>A &amp; B</title></head><body><p>The committee met on Monday to discuss the plans "
    "for the new "
    "library, and everybody agreed that it should be built near the river.</p></body></html>";
const std::string kGerman =
    "<html><body><p>Die Sitzung fand am Montag statt, und alle waren sich einig, dass die neue Bibliothek am "
    "Fluss "
    "gebaut werden soll, obwohl die Kosten noch nicht feststehen.</p></body></html>";

WarcRecord response(const std::string& block) {
  WarcRecord record;
  record.type = "response";
  record.id = "urn:uuid:0a1b";
  record.uri = "http://a.example/x";
  record.date = "2026-01-02T03:04:05Z";
  record.content_type = "application/http; msgtype=response";
  record.block = block;
  return record;
}

std::string reason(const WarcRecord& record, const CrawlOptions& options = {}) {
  return process_record(record, options).dropped;
}

}  // namespace

TEST_CASE("a page becomes a document with all its fields", "[web]") {
  const PageResult result = process_record(response(http_response(kEnglish)), {});
  CHECK(result.dropped.empty());
  CHECK(result.document.to_line() ==
        R"({"id":"0a1b","text":"The committee met on Monday to discuss the plans for the new library, )"
        R"(and everybody agreed that it should be built near the river.",)"
        R"("url":"http://a.example/x","source":"warc","created":"2026-01-02T03:04:05Z",)"
        R"("lang":"en","metadata":{"title":"A & B","charset":"utf-8","language_share":0.99}})");
}

TEST_CASE("what is no page is dropped under its reason", "[web]") {
  CHECK(reason(response("not http")) == "not_http");
  CHECK(reason(response(http_response(kEnglish, "Content-Type: text/html\r\n", "404 Not Found"))) ==
        "status");
  CHECK(reason(response(http_response(kEnglish, "Content-Type: text/html\r\n", "304 Not Modified"))) ==
        "status");
  CHECK(reason(response(http_response(kEnglish, "Content-Type: image/png\r\n"))) == "content_type");
  CHECK(reason(response(http_response("plain", "Content-Type: application/octet-stream\r\n"))) ==
        "content_type");
  CHECK(reason(response(http_response("<html></html>"))) == "no_text");
  CHECK(reason(response(http_response(std::string("\x8b\x00\x80", 3),
                                      "Content-Type: text/html\r\nContent-Encoding: br\r\n"))) ==
        "content_encoding");
  CrawlOptions small;
  small.max_page_bytes = 50;
  CHECK(reason(response(http_response(kEnglish)), small) == "page_too_large");
  auto record = response(http_response(kEnglish));
  record.fault = web::RecordFault::damaged;
  CHECK(reason(record) == "damaged_record");
  record.fault = web::RecordFault::too_large;
  CHECK(reason(record) == "record_too_large");
  for (const char* type : {"request", "warcinfo", "metadata", "revisit", ""}) {
    record = response(http_response(kEnglish));
    record.type = type;
    CHECK(reason(record) == "record_type");
  }
}

TEST_CASE("HTML without a content type is recognised", "[web]") {
  CHECK(reason(response(http_response("<!-- x --><!DOCTYPE HTML>" + kEnglish, ""))).empty());
  CHECK(reason(response(http_response(kEnglish, "Content-type: application/octet-stream\r\n"))).empty());
  CHECK(reason(response(http_response(kEnglish, "Content-type: application/xhtml+xml; charset=utf-8\r\n")))
            .empty());
}

TEST_CASE("text of WET records and HTML of resource records is taken", "[web]") {
  WarcRecord record = response("  First line \r\n\r\n\r\nSecond line of the text, in English.\n");
  record.type = "conversion";
  record.content_type = "text/plain";
  CHECK(process_record(record, {}).document.text == "First line\nSecond line of the text, in English.");
  record.type = "resource";
  CHECK(reason(record) == "record_type");
  record.content_type = "text/html; charset=iso-8859-1";
  record.block = "<p>caf\xE9";
  CHECK(process_record(record, {}).document.text == "caf\xC3\xA9");
}

TEST_CASE("a record without an id gets one from its address and date", "[web]") {
  WarcRecord record = response(http_response(kEnglish));
  record.id.clear();
  const std::string id = process_record(record, {}).document.id;
  CHECK(id.size() == 16);
  CHECK(process_record(record, {}).document.id == id);
  record.uri += "y";
  CHECK(process_record(record, {}).document.id != id);
}

TEST_CASE("lies that were seen through are reported", "[web]") {
  const auto result = process_record(
      response(http_response(
          kEnglish, "Content-Type: text/html\r\nTransfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n")),
      {});
  CHECK(result.dropped.empty());
  CHECK(result.repaired == std::vector<std::string>{"not_chunked", "not_compressed"});
}

TEST_CASE("only the wanted languages pass", "[web]") {
  CrawlOptions german;
  german.languages = {"de", "fr"};
  CHECK(reason(response(http_response(kGerman)), german).empty());
  CHECK(reason(response(http_response(kEnglish)), german) == "language");
  CHECK(reason(response(http_response("<p>123")), german) == "language");
  CHECK(web::guess_language("").code.empty());
  CHECK(web::guess_language("Der Hund l\xC3\xA4uft \xC3").share <= 1);  // cut inside a character
}

TEST_CASE("wishes not to be used are recorded, and respected when asked", "[web]") {
  CrawlOptions respectful;
  respectful.respect_optout = true;
  const std::string meta =
      "<meta name=ROBOTS content='NoAI, follow'><meta name=tdm-reservation content=1>" + kEnglish;
  const auto kept = process_record(response(http_response(meta)), {});
  CHECK(kept.dropped.empty());
  CHECK(kept.document.metadata.at("opt_out").dump() == R"(["noai","tdm-reservation"])");
  CHECK(reason(response(http_response(meta)), respectful) == "opt_out");
  CHECK(reason(response(http_response(kEnglish)), respectful).empty());
  const std::string fields = "Content-Type: text/html\r\nX-Robots-Tag: otherbot: noindex, noarchive\r\n";
  CHECK(reason(response(http_response(kEnglish, fields)), respectful) == "opt_out");
  CHECK(reason(response(http_response(kEnglish, "Content-Type: text/html\r\nTDM-Reservation: 1\r\n")),
               respectful) == "opt_out");
  CHECK(
      reason(response(http_response("<meta name=robots content=noimageai>" + kEnglish)), respectful).empty());
}

TEST_CASE("a title comes from the head, else from the first heading", "[web]") {
  const auto title = [](const std::string& page) { return web::page_info(web::parse_html(page)).title; };
  CHECK(title("<title> One\n two </title><h1>h</h1>") == "One two");
  CHECK(title("<svg><title>icon</title></svg><h1>Head<br>ing</h1>") == "Head ing");
  CHECK(title("<meta property=og:title content=' Og '><h1>h</h1>") == "Og");
  CHECK(title("<p>x").empty());
  CHECK(title("<title>" + std::string(999, 'x') + "\xC3\xA9\xC3\xA9</title>") == std::string(999, 'x'));
}

TEST_CASE("bytes of any kind in any field leave a document that is valid", "[web]") {
  auto record = response(http_response(std::string("<title>\xFF\0</title><p>\xC3\x28 text \x80", 30),
                                       "Content-Type: text/html; charset=utf-8\r\n"));
  record.uri = "http://a/\xFF";
  const auto result = process_record(record, {});
  CHECK(Json::parse(result.document.to_line()).at("url").as_string() == "http://a/\xEF\xBF\xBD");
  CHECK(result.document.metadata.at("title").as_string() == "\xEF\xBF\xBD");
}

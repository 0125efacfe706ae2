#include "web/crawl_extract.hpp"

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/json.hpp"
#include "crawl_samples.hpp"
#include "shard/reader.hpp"
#include "support/data.hpp"

using namespace gristmill;
using namespace gristmill::test;

namespace {

std::string page(int number) {
  return str("<html><title>", number, "</title><p>Page number ", number,
             " tells of the things that happened to the people of the town on that day.");
}

std::string crawl(int pages) {
  std::string text = deflate_text(warc_record("warcinfo", "", "software: x", "application/warc-fields"));
  for (int i = 0; i < pages; ++i) {
    const std::string id = str("<urn:uuid:", i, ">");
    text += deflate_text(warc_record("request", "http://a/", "GET", "application/http", "<urn:uuid:r>"));
    text += deflate_text(warc_record("response", str("http://a/", i),
                                     http_response(i % 5 == 4 ? "" : page(i)), "application/http", id));
  }
  return text;
}

web::CrawlStats run(const std::vector<std::string>& inputs, const std::string& output,
                    const web::CrawlOptions& options, const std::string& rejects_path = "") {
  shard::Header header;
  header.tool = "crawl-extract";
  header.options = options.to_json();
  shard::Writer writer(output, header, shard::writer_options(output, options.threads));
  if (rejects_path.empty()) return web::crawl_extract(inputs, writer, nullptr, options);
  shard::Writer rejects(rejects_path, header, shard::writer_options(rejects_path, 1));
  return web::crawl_extract(inputs, writer, &rejects, options);
}

}  // namespace

TEST_CASE("every record comes out or is counted under a reason", "[web]") {
  const Scratch scratch;
  const std::string input = scratch.write("a.warc.gz", crawl(10));
  const auto stats = run({input, input}, scratch.path("out.jsonl"), {}, scratch.path("rejects.jsonl"));
  CHECK(stats.records_in == 42);
  CHECK(stats.records_out == 16);
  CHECK(stats.dropped == std::map<std::string, uint64_t>{{"no_text", 4}, {"record_type", 22}});
  CHECK(stats.bytes_in == 2 * read_file(input).size());
  LineReader out(scratch.path("out.jsonl"));
  std::string_view line;
  REQUIRE(out.next(line));
  REQUIRE(out.next(line));
  CHECK(Json::parse(line).at("id").as_string() == "1");
  LineReader rejects(scratch.path("rejects.jsonl"));
  uint64_t rejected = 0;
  for (; rejects.next(line); ++rejected)
    CHECK(stats.dropped.count(Json::parse(line).at("metadata").at("dropped").as_string()) == 1);
  CHECK(rejected == stats.records_dropped());
}

TEST_CASE("the shard is the same for any number of threads", "[web]") {
  const Scratch scratch;
  const std::string input = scratch.write("a.warc.gz", crawl(40));
  web::CrawlOptions options;
  run({input}, scratch.path("1.jsonl.zst"), options);
  for (const int threads : {2, 5}) {
    options.threads = threads;
    run({input}, scratch.path("n.jsonl.zst"), options);
    CHECK(read_file(scratch.path("n.jsonl.zst")) == read_file(scratch.path("1.jsonl.zst")));
  }
  shard::Reader reader({scratch.path("1.jsonl.zst")});
  std::string_view record;
  int count = 0;
  while (reader.next(record)) ++count;
  CHECK(count == 32);
  CHECK(reader.provenance().as_array().size() == 1);
}

TEST_CASE("a damaged input leaves no output file behind", "[web]") {
  const Scratch scratch;
  const std::string whole = crawl(5);
  const std::string input = scratch.write("cut.warc.gz", whole.substr(0, whole.size() - 20));
  for (const int threads : {1, 3}) {
    web::CrawlOptions options;
    options.threads = threads;
    CHECK_THROWS_AS(run({input}, scratch.path("out.jsonl.zst"), options), Error);
    CHECK_FALSE(std::filesystem::exists(scratch.path("out.jsonl.zst")));
  }
}

TEST_CASE("HTML files keep the order of the inputs, folders that of their names", "[web]") {
  const Scratch scratch;
  std::filesystem::create_directory(scratch.path("site"));
  for (const char* name : {"site/b.html", "site/a.html", "site/c.HTM", "site/notes.txt", "z.page"})
    scratch.write(name, page(1));
  web::CrawlOptions options;
  options.html = true;
  options.threads = 2;
  const auto stats = run({scratch.path("z.page"), scratch.path("site")}, scratch.path("o.jsonl"), options);
  CHECK(stats.records_in == 4);
  LineReader out(scratch.path("o.jsonl"));
  std::string_view line;
  std::string ids;
  while (out.next(line)) ids += Json::parse(line).at("id").as_string() + " ";
  CHECK(ids == "z.page a b c ");
  std::filesystem::create_directory(scratch.path("none"));
  CHECK_THROWS_AS(run({scratch.path("none")}, scratch.path("p.jsonl"), options), Error);
}

TEST_CASE("the recorded documentation pages are extracted whole", "[web]") {
  REQUIRE_EXTERNAL_DATA(file, "web/warc/wget/pydoc.warc.gz");
  const Scratch scratch;
  web::CrawlOptions options;
  options.threads = 2;
  options.languages = {"en"};
  const auto stats = run({file.string()}, scratch.path("o.jsonl"), options);
  CHECK(stats.records_in == 78);
  CHECK(stats.records_out + stats.records_dropped() == 78);
  CHECK(stats.dropped.at("record_type") == 41);
  CHECK(stats.dropped.at("status") == 1);
  CHECK(stats.records_out >= 20);
  const std::string text = read_file(scratch.path("o.jsonl"));
  CHECK(text.find("Development of the documentation and its toolchain is an entirely volunteer effort") !=
        std::string::npos);
  // The footer of every page goes; two pages (index, search form) consist of nothing but links and footer.
  int footers = 0;
  for (size_t at = text.find("Created using"); at != std::string::npos;
       at = text.find("Created using", at + 1))
    ++footers;
  CHECK(footers <= 2);
}

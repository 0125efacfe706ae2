#include "web/warc_reader.hpp"

#include <zstd.h>

#include <map>
#include <vector>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/rng.hpp"
#include "crawl_samples.hpp"
#include "support/data.hpp"

using namespace gristmill;
using namespace gristmill::test;
using web::RecordFault;
using web::WarcReader;
using web::WarcRecord;

namespace {

struct Read {
  std::vector<WarcRecord> records;
  std::string error;
};

Read read_all(const std::string& path, const web::WarcOptions& options = {}) {
  Read result;
  try {
    WarcReader reader(path, options);
    WarcRecord record;
    while (reader.next(record)) result.records.push_back(record);
  } catch (const Error& error) {
    result.error = error.what();
  }
  return result;
}

bool mentions(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::string two_records() {
  return warc_record("response", "<http://a.example/>", http_response("<p>one")) +
         warc_record("request", "http://b.example/x y", "GET / HTTP/1.0\r\n\r\n", "application/http",
                     "urn:odd");
}

}  // namespace

TEST_CASE("the fields of a record are read, brackets taken off", "[web]") {
  const Scratch scratch;
  const auto read = read_all(scratch.write("a.warc", two_records()));
  CHECK(read.error.empty());
  REQUIRE(read.records.size() == 2);
  CHECK(read.records[0].type == "response");
  CHECK(read.records[0].uri == "http://a.example/");
  CHECK(read.records[0].id == "urn:uuid:00000000-0000-0000-0000-000000000001");
  CHECK(read.records[0].date == "2026-01-02T03:04:05Z");
  CHECK(read.records[0].block == http_response("<p>one"));
  CHECK(read.records[1].uri == "http://b.example/x y");
  CHECK(read.records[1].id == "urn:odd");
  CHECK(read.records[1].offset ==
        warc_record("response", "<http://a.example/>", http_response("<p>one")).size());
}

TEST_CASE("plain, one member, a member a record and zstd give the same records", "[web]") {
  const Scratch scratch;
  const std::string first = warc_record("response", "http://a/", http_response("<p>one"));
  const std::string second = warc_record("response", "http://b/", http_response("<p>two"));
  std::string zstd(ZSTD_compressBound(first.size() + second.size()), '\0');
  zstd.resize(
      ZSTD_compress(zstd.data(), zstd.size(), (first + second).data(), first.size() + second.size(), 3));
  const std::string forms[] = {
      first + second, deflate_text(first + second), deflate_text(first) + deflate_text(second),
      deflate_text(first) + deflate_text("") + deflate_text(second) + std::string(100, '\0'), zstd};
  for (const auto& form : forms) {
    const auto read = read_all(scratch.write("x", form));
    CHECK(read.error.empty());
    REQUIRE(read.records.size() == 2);
    CHECK(read.records[0].block == http_response("<p>one"));
    CHECK(read.records[1].block == http_response("<p>two"));
  }
}

TEST_CASE("lines may end in LF and headers may be folded", "[web]") {
  const Scratch scratch;
  const auto read = read_all(scratch.write(
      "a", "WARC/1.1\nWARC-Type: response\nWARC-Target-URI: http://a/\n more\ncontent-length: 3\n\nabc\n\n"));
  REQUIRE(read.records.size() == 1);
  CHECK(read.records[0].uri == "http://a/");
  CHECK(read.records[0].headers[1].second == "http://a/ more");
  CHECK(read.records[0].block == "abc");
}

TEST_CASE("a wrong Content-Length costs its own record and no other", "[web]") {
  const Scratch scratch;
  const std::string good = warc_record("response", "http://good/", "0123456789");
  const auto with_length = [&](const std::string& length) {
    std::string text = good;
    return text.replace(text.find("Content-Length: 10") + 16, 2, length);
  };
  for (const std::string length : {"3", "0", "57", "300", "x", "99999999999999999999"}) {
    CAPTURE(length);
    const auto read = read_all(scratch.write("a", good + with_length(length) + good + good));
    CHECK(read.error.empty());
    REQUIRE(read.records.size() == 4);
    CHECK(read.records[0].fault == RecordFault::none);
    CHECK(read.records[1].fault == RecordFault::damaged);
    CHECK(read.records[2].fault == RecordFault::none);
    CHECK(read.records[3].block == "0123456789");
  }
  const auto beyond = read_all(scratch.write("b", good + with_length("5000")));
  CHECK(beyond.records.size() == 1);
  CHECK(mentions(beyond.error, "ends inside the record"));
}

TEST_CASE("a record over the limit is passed over and marked", "[web]") {
  const Scratch scratch;
  const std::string text = warc_record("response", "http://a/", std::string(200000, 'x')) +
                           warc_record("response", "http://b/", "small");
  const auto read = read_all(scratch.write("a", text), {1000});
  REQUIRE(read.records.size() == 2);
  CHECK(read.records[0].fault == RecordFault::too_large);
  CHECK(read.records[0].block.empty());
  CHECK(read.records[1].block == "small");
  // A length that promises more than there is must not be believed: no memory is taken for it.
  const auto liar =
      read_all(scratch.write("b", "WARC/1.0\r\nContent-Length: 1152921504606846976\r\n\r\nabc"));
  CHECK(mentions(liar.error, "ends inside the record"));
}

TEST_CASE("files that are no WARC files are named as such", "[web]") {
  const Scratch scratch;
  CHECK(mentions(read_all(scratch.write("empty", "")).error, "is empty"));
  CHECK(mentions(read_all(scratch.write("html", "<html>hello")).error, "is no WARC file"));
  CHECK(mentions(read_all(scratch.path("absent")).error, "absent"));
}

TEST_CASE("good records before a truncation are handed out, then one error says where", "[web]") {
  const Scratch scratch;
  const std::string first = deflate_text(warc_record("response", "http://a/", http_response("<p>one")));
  const std::string whole =
      first + deflate_text(warc_record("response", "http://b/", http_response("<p>two")));
  for (size_t cut = 1; cut<whole.size(); cut += cut + 20> first.size() && cut < first.size() + 20 ? 1 : 5) {
    CAPTURE(cut);
    const auto read = read_all(scratch.write("cut.warc.gz", whole.substr(0, cut)));
    CHECK(read.records.size() == (cut >= first.size() ? 1u : 0u));
    if (cut == first.size()) {
      CHECK(read.error.empty());
    } else {
      CHECK(!read.error.empty());
      if (cut > 1) CHECK((mentions(read.error, "at byte") && mentions(read.error, "cut.warc.gz")));
    }
  }
}

TEST_CASE("a plain file that is cut off is an error unless a record ends there", "[web]") {
  const Scratch scratch;
  const std::string first = warc_record("response", "http://a/", "one");
  const std::string whole = first + warc_record("response", "http://b/", "two");
  for (size_t cut = 1; cut<whole.size(); cut += cut> 100 && cut + 20 < first.size() ? 7 : 1) {
    CAPTURE(cut);
    const auto read = read_all(scratch.write("cut.warc", whole.substr(0, cut)));
    const bool between = cut + 4 >= first.size() && cut <= first.size();
    const bool at_end = cut + 4 >= whole.size();
    CHECK(read.error.empty() == (between || at_end));
    CHECK(read.records.size() == (at_end ? 2u : cut + 4 >= first.size() ? 1u : 0u));
  }
}

TEST_CASE("a flipped bit in a member is noticed before its record leaves", "[web]") {
  const Scratch scratch;
  const std::string first = deflate_text(warc_record("response", "http://a/", http_response("<p>one")));
  std::string second = deflate_text(warc_record("response", "http://b/", http_response("<p>two")));
  second[second.size() - 6] = static_cast<char>(second[second.size() - 6] ^ 1);  // in the checksum
  const auto read = read_all(scratch.write("x.gz", first + second));
  CHECK(read.records.size() == 1);
  CHECK(mentions(read.error, "damaged gzip member"));
}

TEST_CASE("no mutation of a WARC file makes the reader crash or loop", "[web]") {
  const Scratch scratch;
  const std::string seed = two_records() + warc_record("conversion", "http://c/", "text", "text/plain");
  Rng random(7, stream_of(RandomStream::test));
  for (int round = 0; round < 150; ++round) {
    std::string text = seed;
    for (int edit = 0; edit < 4; ++edit) {
      const size_t at = static_cast<size_t>(random.below(text.size()));
      if (edit % 2 == 0) {
        text[at] = static_cast<char>(random.below(256));
      } else {
        text.erase(at, static_cast<size_t>(random.below(20)));
      }
    }
    const auto read = read_all(scratch.write("m", text), {1 << 16});
    CHECK(read.records.size() <= 6);
  }
}

TEST_CASE("the WARC samples hold the records that their summary lists", "[web]") {
  REQUIRE_EXTERNAL_DATA(folder, "web/warc");
  LineReader lines((folder / "SUMMARY.tsv").string());
  std::string_view line;
  lines.next(line);
  int files = 0;
  while (lines.next(line)) {
    const std::string row(line);
    const auto cells = split(row, '\t');
    const std::string name(cells[0]);
    if (mentions(name, ".arc") || mentions(name, ".lz4") || cells[5].empty()) continue;
    CAPTURE(name);
    const auto read = read_all((folder / name).string());
    std::map<std::string, uint64_t> types, wanted;
    for (const auto& record : read.records) ++types[record.type.empty() ? "unknown" : record.type];
    for (const auto cell : split(cells[5], ' ')) {
      wanted[std::string(cell.substr(0, cell.find(':')))] =
          parse_uint(cell.substr(cell.find(':') + 1)).value();
    }
    ++files;
    if (mentions(name, "clipped")) {
      CHECK(mentions(read.error, "cut off"));  // its only member never ends
      continue;
    }
    CHECK(read.error.empty());
    CHECK(types == wanted);
  }
  CHECK(files >= 20);
}

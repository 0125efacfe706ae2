#include <sys/wait.h>
#include <unistd.h>
#include <zstd.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/error.hpp"
#include "base/hash.hpp"
#include "shard/shard_files.hpp"
#include "support/catch.hpp"

using namespace gristmill;
using namespace gristmill::test;

namespace {

std::string joined(const std::vector<std::string>& records) {
  std::string text;
  for (const auto& record : records) text += record + "\n";
  return text;
}

/// What any zstd decoder makes of a file.
std::string unzstd(const std::string& stored) {
  std::string decoded;
  for (size_t at = 0; at < stored.size();) {
    const size_t size = ZSTD_findFrameCompressedSize(stored.data() + at, stored.size() - at);
    REQUIRE(ZSTD_isError(size) == 0);
    std::string frame(1 << 22, '\0');
    const size_t got = ZSTD_decompress(frame.data(), frame.size(), stored.data() + at, size);
    REQUIRE(ZSTD_isError(got) == 0);
    decoded.append(frame, 0, got);
    at += size;
  }
  return decoded;
}

uint32_t u32_at(const std::string& bytes, size_t at) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value |= uint32_t{static_cast<unsigned char>(bytes[at + i])} << (8 * i);
  return value;
}

}  // namespace

TEST_CASE("records come back from a shard as they were written", "[shard]") {
  const Scratch scratch;
  const auto records = some_records(2000, 3000);
  shard::WriterOptions options;
  options.frame_bytes = 64 << 10;
  write_shard(scratch.path("a"), records, options);
  shard::Reader reader({scratch.path("a")});
  REQUIRE(reader.header().has_value());
  CHECK(reader.header()->tool == "test");
  CHECK(reader.header()->schema == "documents");
  CHECK(reader.header()->options.at("threshold").as_double() == 0.8);
  CHECK(!reader.header()->version.empty());
  CHECK(read_all(reader) == records);
  CHECK(reader.records_read() == records.size());
  CHECK(reader.bytes_read() == read_file(scratch.path("a")).size());
}

TEST_CASE("a shard without records is one", "[shard]") {
  const Scratch scratch;
  write_shard(scratch.path("a"), {});
  shard::Reader reader({scratch.path("a")});
  REQUIRE(reader.header().has_value());
  CHECK(reader.header()->tool == "test");
  CHECK(read_all(reader).empty());
}

TEST_CASE("the bytes of a shard do not depend on the number of threads", "[shard]") {
  const Scratch scratch;
  const auto records = some_records(3000, 2000);
  for (const int threads : {1, 2, 4, 7}) {
    shard::WriterOptions options;
    options.frame_bytes = 32 << 10;
    options.threads = threads;
    write_shard(scratch.path(str(threads)), records, options);
  }
  const std::string one = read_file(scratch.path("1"));
  CHECK(read_file(scratch.path("2")) == one);
  CHECK(read_file(scratch.path("4")) == one);
  CHECK(read_file(scratch.path("7")) == one);
}

TEST_CASE("any zstd decoder reads a shard", "[shard]") {
  const Scratch scratch;
  const auto records = some_records(500, 2000);
  shard::WriterOptions options;
  options.frame_bytes = 100000;
  write_shard(scratch.path("a"), records, options);
  CHECK(unzstd(read_file(scratch.path("a"))) == joined(records));
}

TEST_CASE("the seek table names every frame with its sizes", "[shard]") {
  const Scratch scratch;
  const auto records = some_records(500, 2000);
  shard::WriterOptions options;
  options.frame_bytes = 100000;
  write_shard(scratch.path("a"), records, options);
  const std::string stored = read_file(scratch.path("a"));
  REQUIRE(u32_at(stored, stored.size() - 4) == 0x8F92EAB1);
  const size_t frames = u32_at(stored, stored.size() - 9);
  const size_t table = stored.size() - 9 - 8 * frames - 8;
  CHECK(u32_at(stored, table) == 0x184D2A5E);
  CHECK(u32_at(stored, table + 4) == 8 * frames + 9);
  size_t at = 0, decoded = 0;
  for (size_t i = 0; i < frames; ++i) {
    const size_t size = u32_at(stored, table + 8 + 8 * i);
    const size_t content = u32_at(stored, table + 12 + 8 * i);
    REQUIRE(size == ZSTD_findFrameCompressedSize(stored.data() + at, stored.size() - at));
    if (content > 0) CHECK(content == ZSTD_getFrameContentSize(stored.data() + at, stored.size() - at));
    at += size;
    decoded += content;
  }
  CHECK(at == table);
  CHECK(decoded == joined(records).size());
}

TEST_CASE("frames end with a record once they are large enough, and no record is lost at their edges",
          "[shard]") {
  const Scratch scratch;
  for (const uint64_t frame_bytes : {1, 9, 10, 11, 20, 4096}) {
    shard::WriterOptions options;
    options.frame_bytes = frame_bytes;
    const std::vector<std::string> records(40, "{\"a\": 1}x");  // ten bytes with the newline
    write_shard(scratch.path("a"), records, options);
    CHECK(read_records({scratch.path("a")}) == records);
  }
}

TEST_CASE("a record longer than a frame and than the read buffer comes back whole", "[shard]") {
  const Scratch scratch;
  std::string longest(18 << 20, 'x');
  for (size_t i = 0; i < longest.size(); i += 997) longest[i] = static_cast<char>('a' + i % 26);
  const std::vector<std::string> records = {"{}", longest, "{\"b\":1}"};
  write_shard(scratch.path("a"), records);
  CHECK(read_records({scratch.path("a")}) == records);
  shard::ReaderOptions options;
  options.max_record_bytes = 1 << 20;
  CHECK(contains(error_of([&] { read_records({scratch.path("a")}, options); }), "longer than 1048576 bytes"));
}

TEST_CASE("shards behind each other in one file read as one", "[shard]") {
  const Scratch scratch;
  const auto first = some_records(100, 300, 1), second = some_records(50, 300, 2);
  write_shard(scratch.path("a"), first);
  write_shard(scratch.path("empty"), {});
  write_shard(scratch.path("b"), second);
  const auto both = scratch.file(
      "both", read_file(scratch.path("a")) + read_file(scratch.path("empty")) + read_file(scratch.path("b")));
  auto expected = first;
  expected.insert(expected.end(), second.begin(), second.end());
  shard::Reader reader({both});
  CHECK(read_all(reader) == expected);
  CHECK(reader.provenance().as_array().size() == 3);
}

TEST_CASE("equal work gives equal bytes: nothing of time, host or path is stored", "[shard]") {
  const Scratch a, b;
  const auto records = some_records(20, 100);
  write_shard(a.path("one"), records);
  write_shard(b.path("another-name"), records);
  CHECK(read_file(a.path("one")) == read_file(b.path("another-name")));
}

TEST_CASE("the trailer carries the provenance of the inputs, chain by chain", "[shard]") {
  const Scratch scratch;
  const auto records = some_records(10, 50);
  const auto text = scratch.file("in.jsonl", joined(records));
  shard::Reader foreign({text});
  read_all(foreign);
  write_shard(scratch.path("a"), records, {}, foreign.provenance());
  shard::Reader reader({scratch.path("a")});
  read_all(reader);
  const Json provenance = reader.provenance();
  REQUIRE(provenance.as_array().size() == 1);
  const Json& entry = provenance.as_array()[0];
  CHECK(entry.at("header").at("tool").as_string() == "test");
  CHECK(entry.at("records").as_uint() == 10);
  CHECK(entry.at("xxh64").as_string() == format_hex64(xxh64(joined(records))));
  const Json& origin = entry.at("inputs").as_array().at(0);
  CHECK(origin.at("format").as_string() == "plain");
  CHECK(origin.at("records").as_uint() == 10);
  CHECK(origin.at("xxh64").as_string() == format_hex64(xxh64(joined(records))));
  CHECK(provenance.dump().find(scratch.path("")) == std::string::npos);
}

TEST_CASE("a provenance too deep to read again is named by its hash", "[shard]") {
  const Scratch scratch;
  Json chain = Json::array();
  for (int i = 0; i < 300; ++i) chain = Json(Json::Array{chain});
  write_shard(scratch.path("a"), {"{}"}, {}, chain);
  shard::Reader reader({scratch.path("a")});
  CHECK(read_all(reader).size() == 1);
  CHECK(reader.provenance().as_array()[0].at("inputs").as_array()[0].find("provenance_xxh64") != nullptr);
}

TEST_CASE("a shard goes through a pipe", "[shard]") {
  const Scratch scratch;
  const auto records = some_records(2000, 1000);
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  std::thread writer([&] {
    write_shard(str("/dev/fd/", ends[1]), records);
    ::close(ends[1]);
  });
  const auto read = read_records({str("/dev/fd/", ends[0])});
  writer.join();
  ::close(ends[0]);
  CHECK(read == records);
}

TEST_CASE("a writer that is not closed leaves no file, and a reader of its pipe an error", "[shard]") {
  const Scratch scratch;
  {
    shard::Writer writer(scratch.path("a"), some_header());
    writer.write("{}");
  }
  CHECK(!std::filesystem::exists(scratch.path("a")));
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  {
    shard::Writer writer(str("/dev/fd/", ends[1]), some_header());
    writer.write("{}");
  }
  ::close(ends[1]);
  CHECK(contains(error_of([&] { read_records({str("/dev/fd/", ends[0])}); }), "has no trailer"));
  ::close(ends[0]);
}

TEST_CASE("a full disk is an error, with one thread and with several", "[shard]") {
  for (const int threads : {1, 3}) {
    shard::WriterOptions options;
    options.threads = threads;
    options.frame_bytes = 1000;
    CHECK(contains(error_of([&] { write_shard("/dev/full", some_records(1000, 1000), options); }),
                   "/dev/full"));
  }
}

TEST_CASE("a path that ends in .jsonl asks for bare JSON Lines", "[shard]") {
  const Scratch scratch;
  const auto records = some_records(100, 100);
  const std::string path = scratch.path("a.jsonl");
  write_shard(path, records, shard::writer_options(path, 1));
  CHECK(read_file(path) == joined(records));
  CHECK(!shard::writer_options("a.jsonl.zst", 1).plain);
}

TEST_CASE("a record with a line break in it is refused", "[shard]") {
  const Scratch scratch;
  shard::Writer writer(scratch.path("a"), some_header());
  CHECK_THROWS_AS(writer.write("{\n}"), Error);
}

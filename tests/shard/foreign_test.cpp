#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "base/error.hpp"
#include "shard/format.hpp"
#include "shard/shard_files.hpp"
#include "shard/tokens.hpp"
#include "support/catch.hpp"
#include "support/scratch.hpp"

using namespace gristmill;
using namespace gristmill::test;

namespace {

std::string gzip(const std::string& text) {
  std::string out(compressBound(text.size()) + 64, '\0');
  z_stream stream{};
  REQUIRE(deflateInit2(&stream, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  REQUIRE(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string zstd(const std::string& text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
}

std::vector<std::string> read_bytes(const std::string& stored) {
  const MemoryFile file(stored);
  return read_records({file.path()});
}

std::string error_of_reading(const std::string& stored) {
  return error_of([&] { read_bytes(stored); });
}

using Lines = std::vector<std::string>;

}  // namespace

TEST_CASE("plain JSON Lines are read, with or without a last newline, and empty lines are passed over",
          "[shard]") {
  CHECK(read_bytes("{\"a\":1}\n{\"b\":2}\n") == Lines{"{\"a\":1}", "{\"b\":2}"});
  CHECK(read_bytes("\n\n{\"a\":1}\n\n\r\n{\"b\":2}") == Lines{"{\"a\":1}", "{\"b\":2}"});
  CHECK(read_bytes("\xEF\xBB\xBF{}\n{}") == Lines{"{}", "{}"});
  CHECK(read_bytes("\n\n").empty());
  CHECK(read_bytes("x") == Lines{"x"});
}

TEST_CASE("an empty input has no records and is no error", "[shard]") {
  CHECK(read_bytes("").empty());
  CHECK(read_records({"/dev/null"}).empty());
  shard::Reader reader({"/dev/null"});
  CHECK(!reader.header().has_value());
}

TEST_CASE("a pipe through which nothing came is an error: its writer failed", "[shard]") {
  const ScratchFolder scratch;
  const std::string path = scratch.file("pipe");
  REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  std::thread writer([&] { ::close(::open(path.c_str(), O_WRONLY)); });
  const std::string message = error_of([&] { read_records({path}); });
  writer.join();
  CHECK_THAT(message, contains("nothing came through the pipe"));
}

TEST_CASE("records pass as bytes: NUL and what is no UTF-8 are the record's affair", "[shard]") {
  const std::string odd("{\"a\":\"\0\xFF\"}", 10);
  CHECK(read_bytes(odd + "\n" + odd) == Lines{odd, odd});
}

TEST_CASE("gzip and zstd from elsewhere are read, whatever their name", "[shard]") {
  const auto records = some_records(3000, 500);
  std::string half[2];
  for (size_t i = 0; i < records.size(); ++i) half[i / 1500] += records[i] + "\n";
  const std::string text = half[0] + half[1];
  CHECK(read_bytes(gzip(text)) == records);
  CHECK(read_bytes(gzip(half[0]) + gzip("") + gzip(half[1])) == records);
  CHECK(read_bytes(zstd(text)) == records);
  CHECK(read_bytes(zstd(half[0]) + zstd("") + zstd(half[1])) == records);
  const Scratch scratch;
  CHECK(read_records({scratch.file("a.jsonl.gz", zstd(text))}) == records);
  CHECK(read_records({scratch.file("a.jsonl.zst", text)}) == records);
}

TEST_CASE("records that lie across gzip members and zstd frames are whole", "[shard]") {
  CHECK(read_bytes(gzip("{\"a\":") + gzip("1}\n{}")) == Lines{"{\"a\":1}", "{}"});
  CHECK(read_bytes(zstd("{\"a\":") + zstd("1}\n{}")) == Lines{"{\"a\":1}", "{}"});
}

TEST_CASE("skippable frames of other programs are passed over", "[shard]") {
  std::string frame;
  shard::append_u32(frame, shard::kSkippableMagic);
  shard::append_u32(frame, 4);
  frame += "size";
  CHECK(read_bytes(frame + zstd("{}\n") + frame + zstd("[]\n")) == Lines{"{}", "[]"});
}

TEST_CASE("a gzip file cut at any byte of a member is an error", "[shard]") {
  const std::string first = gzip("{\"a\":1}\n{\"b\":2}\n"), stored = first + gzip("{\"c\":3}\n");
  for (size_t size = 1; size < stored.size(); ++size) {
    const bool whole = size == first.size();  // nothing tells a file of one member from one cut behind it
    INFO(size);
    REQUIRE(error_of_reading(stored.substr(0, size)).empty() == whole);
  }
  CHECK(contains(error_of_reading(first.substr(0, 1)), "cut off"));
  CHECK(contains(error_of_reading(first + "garbage"), "no gzip"));
  std::string damaged = first;
  damaged[first.size() - 5] = static_cast<char>(~damaged[first.size() - 5]);
  CHECK(contains(error_of_reading(damaged), "damaged gzip"));
}

TEST_CASE("foreign zstd data cut at any byte of a frame is an error", "[shard]") {
  const std::string first = zstd("{\"a\":1}\n{\"b\":2}\n"), stored = first + zstd("{\"c\":3}\n");
  for (size_t size = 1; size < stored.size(); ++size) {
    INFO(size);
    REQUIRE(error_of_reading(stored.substr(0, size)).empty() == (size == first.size()));
  }
  CHECK(contains(error_of_reading(first + "garbage"), "other bytes"));
}

TEST_CASE("formats that are not read are named", "[shard]") {
  CHECK(contains(error_of_reading(std::string("\xFD"
                                              "7zXZ\0abcdefgh",
                                              14)),
                 "xz-compressed"));
  CHECK(contains(error_of_reading("BZh91AY&SY"), "bzip2"));
  CHECK(contains(error_of_reading("PAR1abcdefgh"), "Parquet"));
  CHECK(contains(error_of_reading("WARC/1.0\r\n"), "crawl-extract"));
}

TEST_CASE("shards and foreign files mix in one list, and each record says where it stood", "[shard]") {
  const Scratch scratch;
  write_shard(scratch.path("a"), {"{\"n\":1}", "{\"n\":2}"});
  const auto plain = scratch.file("b", "{\"n\":3}");
  const auto packed = scratch.file("c", gzip("{\"n\":4}\n"));
  shard::Reader reader({scratch.path("a"), plain, "/dev/null", packed, scratch.path("a")});
  Lines records, places;
  std::vector<bool> headers;
  std::string_view record;
  while (reader.next(record)) {
    records.emplace_back(record);
    places.push_back(reader.where());
    headers.push_back(reader.header().has_value());
  }
  CHECK(records == Lines{"{\"n\":1}", "{\"n\":2}", "{\"n\":3}", "{\"n\":4}", "{\"n\":1}", "{\"n\":2}"});
  CHECK(places[1] == scratch.path("a") + ", record 2");
  CHECK(places[2] == plain + ", record 1");
  CHECK(places[5] == scratch.path("a") + ", record 2");
  CHECK(headers == std::vector<bool>{true, true, false, false, true, true});
  const Json provenance = reader.provenance();
  REQUIRE(provenance.as_array().size() == 5);
  CHECK(provenance.as_array()[1].at("format").as_string() == "plain");
  CHECK(provenance.as_array()[3].at("format").as_string() == "gzip");
  uint64_t stored = 0;
  for (const auto& path : {scratch.path("a"), plain, packed, scratch.path("a")})
    stored += read_file(path).size();
  CHECK(reader.bytes_read() == stored);
}

TEST_CASE("a shard and foreign zstd data in one file are refused, for one would hide the other's loss",
          "[shard]") {
  const Scratch scratch;
  write_shard(scratch.path("a"), {"{}"});
  const std::string stored = read_file(scratch.path("a"));
  CHECK(contains(error_of_reading(stored + zstd("{}\n")), "data without a header"));
  CHECK(contains(error_of_reading(zstd("{}\n") + stored), "give them as two files"));
}

TEST_CASE("foreign input can be refused, token shards as records always are", "[shard]") {
  const Scratch scratch;
  shard::ReaderOptions options;
  options.allow_foreign = false;
  const auto plain = scratch.file("b", "{}\n");
  CHECK(contains(error_of([&] { read_records({plain}, options); }), "no Gristmill shard"));
  shard::TokenWriter writer(scratch.path("t"), {"00ff", 300, 0}, Json::object(), 1, 1);
  writer.write(std::vector<uint32_t>{1});
  writer.close(Json::array());
  CHECK(contains(error_of([&] { read_records({scratch.path("t")}); }), "is a token shard"));
}

TEST_CASE("a file that is not there is told before the first record", "[shard]") {
  CHECK(contains(error_of([] { shard::Reader reader({"/dev/null", "/no/such/file"}); }), "/no/such/file"));
}

TEST_CASE("a line longer than the limit is an error in every format", "[shard]") {
  shard::ReaderOptions options;
  options.max_record_bytes = 10;
  for (const auto& stored :
       {std::string("{}\n12345678901\n"), gzip("12345678901"), zstd("{}\n{}\n12345678901\n")}) {
    const MemoryFile file(stored);
    CHECK(contains(error_of([&] { read_records({file.path()}, options); }), "longer than 10 bytes"));
  }
  const MemoryFile file("1234567890\n");
  CHECK(read_records({file.path()}, options).size() == 1);
}

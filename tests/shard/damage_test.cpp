// What can happen to a shard on its way: cut, flipped, lied to, glued. Each must be an Error, never a crash
// and never records that are quietly fewer or other than those written.

#include <zstd.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/hash.hpp"
#include "shard/format.hpp"
#include "shard/shard_files.hpp"
#include "shard/tokens.hpp"
#include "support/catch.hpp"

using namespace gristmill;
using namespace gristmill::test;

namespace {

std::string small_shard(uint64_t seed = 1) {
  const Scratch scratch;
  shard::WriterOptions options;
  options.frame_bytes = 60;
  write_shard(scratch.path("a"), some_records(4, 60, seed), options);
  return read_file(scratch.path("a"));
}

std::string small_token_shard() {
  const Scratch scratch;
  shard::TokenWriter writer(scratch.path("t"), {"00ff", 300, 0}, Json::object(), 1, 1);
  writer.write(std::vector<uint32_t>{1, 2, 299});
  writer.write(std::vector<uint32_t>{7});
  writer.close(Json::array());
  return read_file(scratch.path("t"));
}

std::string error_of_reading(const std::string& stored) {
  const MemoryFile file(stored);
  return error_of([&] { read_records({file.path()}); });
}

std::string error_of_tokens(const std::string& stored) {
  const MemoryFile file(stored);
  return error_of([&] { shard::read_tokens({file.path()}); });
}

/// The number of bits that can be flipped without an Error.
template <class Read>
size_t unseen_flips(const std::string& stored, size_t from, const Read& read) {
  size_t unseen = 0;
  for (size_t at = from; at < stored.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string flipped = stored;
      flipped[at] = static_cast<char>(static_cast<unsigned char>(flipped[at]) ^ (1U << bit));
      if (!read(flipped).empty()) continue;
      ++unseen;
      UNSCOPED_INFO("bit " << bit << " of byte " << at << " can be flipped unseen");
    }
  }
  return unseen;
}

/// A zstd frame whose header promises `content` bytes (RFC 8878, 3.1.1.1: single segment, eight-byte size).
std::string boasting_frame(uint64_t content) {
  std::string frame;
  shard::append_u32(frame, shard::kZstdMagic);
  frame += '\xE0';
  shard::append_u64(frame, content);
  return frame + std::string(100, '\0');
}

size_t size_of_header(const std::string& stored) { return 8 + shard::load_u32(stored, 4); }

}  // namespace

TEST_CASE("a shard cut at any byte is an error that says so", "[shard]") {
  const std::string stored = small_shard();
  for (size_t size = 1; size < stored.size(); ++size) {
    const std::string error = error_of_reading(stored.substr(0, size));
    INFO("cut to " << size << " of " << stored.size() << " bytes: " << error);
    REQUIRE((contains(error, "has no trailer") || (size < 16 && contains(error, "cut off"))));
  }
  CHECK(error_of_reading(stored).empty());
}

TEST_CASE("a shard cut at its front is an error at any byte where it still looks like zstd", "[shard]") {
  const std::string stored = small_shard();
  const size_t header = size_of_header(stored);
  CHECK(contains(error_of_reading(stored.substr(header)), "the beginning is missing"));
}

TEST_CASE("every flipped bit of a shard is an error", "[shard]") {
  CHECK(unseen_flips(small_shard(), 0, error_of_reading) == 0);
}

TEST_CASE("every flipped bit of a shard behind another is an error", "[shard]") {
  const std::string first = small_shard(1);
  CHECK(unseen_flips(first + small_shard(2), first.size(), error_of_reading) == 0);
}

TEST_CASE("a token shard cut at any byte, or with any bit flipped, is an error", "[shard]") {
  const std::string stored = small_token_shard();
  for (size_t size = 1; size < stored.size(); ++size)
    REQUIRE(!error_of_tokens(stored.substr(0, size)).empty());
  CHECK(unseen_flips(stored, 0, error_of_tokens) == 0);
  CHECK(error_of_tokens(stored).empty());
}

TEST_CASE("two shards are an error when the first has lost its end", "[shard]") {
  const std::string stored = small_shard();
  const size_t table = stored.size() - 8 - shard::load_u32(stored, stored.size() - 9) * 8 - 9;
  CHECK(contains(error_of_reading(stored.substr(0, table) + stored), "damaged"));
  const size_t header = size_of_header(stored);
  CHECK(contains(error_of_reading(stored.substr(0, header) + stored), "a second header"));
}

TEST_CASE("frames left out, doubled or exchanged are errors", "[shard]") {
  const std::string stored = small_shard();
  const size_t first = size_of_header(stored);
  const size_t size = ZSTD_findFrameCompressedSize(stored.data() + first, stored.size() - first);
  const size_t second = first + size;
  const size_t next = ZSTD_findFrameCompressedSize(stored.data() + second, stored.size() - second);
  const std::string head = stored.substr(0, first), a = stored.substr(first, size),
                    b = stored.substr(second, next);
  const std::string rest = stored.substr(second + next);
  CHECK(error_of_reading(head + a + b + rest).empty());
  CHECK(contains(error_of_reading(head + b + rest), "damaged"));
  CHECK(contains(error_of_reading(head + a + a + b + rest), "damaged"));
  CHECK(contains(error_of_reading(head + b + a + rest), "damaged"));
}

TEST_CASE("other bytes behind a shard are an error", "[shard]") {
  const std::string stored = small_shard();
  CHECK(contains(error_of_reading(stored + "x"), "cut off"));
  CHECK(contains(error_of_reading(stored + "{\"id\":1}\n"), "other bytes"));
  CHECK(contains(error_of_reading(stored + boasting_frame(10)), "data without a header"));
}

TEST_CASE("a size of 2^60 bytes is an error and no allocation", "[shard]") {
  const std::string stored = small_shard();
  const size_t header = size_of_header(stored);
  CHECK(!error_of_reading(boasting_frame(uint64_t{1} << 60)).empty());
  CHECK(!error_of_reading(stored.substr(0, header) + boasting_frame(uint64_t{1} << 60)).empty());
  std::string huge;
  shard::append_u32(huge, shard::kOwnMagic);
  shard::append_u32(huge, 0xFFFFFFFF);
  CHECK(contains(error_of_reading(huge + stored.substr(8)),
                 "a frame of 4294967303 bytes where at most 16777216"));
}

TEST_CASE("a header that is whole but without sense is an error", "[shard]") {
  for (const char* body :
       {"", "{", "[]", "{}", R"({"schema":1,"tool":"x","version":"1","seed":1,"options":{},"extra":{}})",
        R"({"schema":"tokens","tool":"x","version":"1","seed":-1,"options":{},"extra":{}})"}) {
    CHECK(contains(error_of_reading(shard::own_frame(shard::FrameKind::header, body)), "damaged"));
  }
  CHECK(contains(error_of_reading(shard::own_frame(static_cast<shard::FrameKind>(9), "")), "unknown kind 9"));
}

TEST_CASE("a trailer that promises 2^60 records or bytes is an error", "[shard]") {
  const Json header = shard::to_json(some_header());
  for (const bool records : {true, false}) {
    std::string stored = shard::own_frame(shard::FrameKind::header, header.dump());
    shard::Trailer trailer;
    trailer.stored_bytes = stored.size();
    trailer.stored_digest = xxh64(stored);
    trailer.digest = xxh64("");
    (records ? trailer.records : trailer.bytes) = uint64_t{1} << 60;
    const std::string frame = shard::own_frame(shard::FrameKind::trailer, shard::to_json(trailer).dump());
    const std::string table = shard::seek_table(
        {{static_cast<uint32_t>(stored.size()), 0}, {static_cast<uint32_t>(frame.size()), 0}});
    CHECK(contains(error_of_reading(stored + frame + table), "1152921504606846976"));
  }
}

TEST_CASE("a shard of a later format version says which", "[shard]") {
  std::string stored = small_shard();
  std::string head = stored.substr(0, size_of_header(stored) - 8);
  head[16] = 2;
  shard::append_u64(head, xxh64(head));
  CHECK(contains(error_of_reading(head), "shard format version 2"));
}

TEST_CASE("random damage never crashes and never passes for the original", "[shard]") {
  const std::vector<std::string> originals = {small_shard(1), small_shard(1) + small_shard(2),
                                              small_token_shard()};
  Rng rng(7, stream_of(RandomStream::test));
  for (int round = 0; round < 3000; ++round) {
    const std::string& original = originals[rng.below(originals.size())];
    std::string damaged = original;
    for (uint64_t changes = 1 + rng.below(4); changes > 0 && !damaged.empty(); --changes) {
      const size_t at = rng.below(damaged.size()), length = 1 + rng.below(20);
      switch (rng.below(5)) {
        case 0:
          damaged[at] = static_cast<char>(rng.bits());
          break;
        case 1:
          damaged.erase(at, length);
          break;
        case 2:
          damaged.insert(at, damaged.substr(rng.below(damaged.size()), length));
          break;
        case 3:
          damaged.resize(at);
          break;
        default:
          damaged.insert(at, length, static_cast<char>(rng.bits()));
      }
    }
    if (damaged == original) continue;
    const MemoryFile file(damaged);
    const auto read = [&] {
      shard::Reader reader({file.path()});
      read_all(reader);
      // What is accepted as a shard must be whole: here one of the two that were glued, or nothing at all.
      if (reader.header()) {
        const bool half = damaged == small_shard(1) || damaged == small_shard(2);
        CHECK(half);
      }
    };
    error_of(read);
    CHECK((!error_of([&] { shard::read_tokens({file.path()}); }).empty() || damaged.empty()));
  }
}

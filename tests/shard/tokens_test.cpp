#include <cstdint>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "shard/format.hpp"
#include "shard/shard_files.hpp"
#include "shard/tokens.hpp"
#include "support/catch.hpp"

using namespace gristmill;
using namespace gristmill::test;

namespace {

using Ids = std::vector<uint32_t>;

std::vector<Ids> some_documents(size_t count, uint64_t vocabulary) {
  Rng rng(3, stream_of(RandomStream::test));
  std::vector<Ids> documents(count);
  for (auto& document : documents) {
    document.resize(rng.below(2000));
    for (auto& id : document) id = static_cast<uint32_t>(rng.below(vocabulary));
  }
  return documents;
}

void write_tokens(const std::string& path, const std::vector<Ids>& documents,
                  const shard::TokenShardInfo& info, int threads = 1) {
  shard::TokenWriter writer(path, info, Json::object(), 1, threads);
  for (const auto& document : documents) writer.write(document);
  writer.close(Json::array());
}

/// A shard with data and an index of the caller's choosing.
std::string forged(const std::string& path, const std::string& data, const std::string& index,
                   uint64_t records) {
  shard::Header header = some_header();
  header.schema = shard::kTokens;
  header.extra = Json::parse(R"({"dtype":"uint16","vocab_size":300,"tokenizer_hash":"00","end_of_text":5})");
  shard::Writer writer(path, header);
  writer.write_bytes(data.data(), data.size(), records);
  writer.set_index(index);
  writer.close(Json::array());
  return error_of([&] { shard::read_tokens({path}); });
}

}  // namespace

TEST_CASE("ids come back with the end-of-text id in front of each document, in two bytes and in four",
          "[shard]") {
  const Scratch scratch;
  for (const uint64_t vocabulary : {300, 65536, 65537, 128256}) {
    const shard::TokenShardInfo info{"abcd", vocabulary, static_cast<uint32_t>(vocabulary - 1)};
    const auto documents = some_documents(200, vocabulary);
    write_tokens(scratch.path("t"), documents, info);
    const auto set = shard::read_tokens({scratch.path("t")}, "abcd");
    CHECK(set.info.vocab_size == vocabulary);
    CHECK(set.info.end_of_text == vocabulary - 1);
    REQUIRE(set.document_starts.size() == documents.size());
    Ids expected;
    for (size_t i = 0; i < documents.size(); ++i) {
      REQUIRE(set.document_starts[i] == expected.size());
      expected.push_back(info.end_of_text);
      expected.insert(expected.end(), documents[i].begin(), documents[i].end());
    }
    CHECK(set.ids == expected);
  }
}

TEST_CASE("a token shard's bytes do not depend on the threads, and its frames hold 64 KiB", "[shard]") {
  const Scratch scratch;
  const auto documents = some_documents(300, 50257);
  const shard::TokenShardInfo info{"abcd", 50257, 50256};
  write_tokens(scratch.path("1"), documents, info, 1);
  write_tokens(scratch.path("3"), documents, info, 3);
  const std::string stored = read_file(scratch.path("1"));
  CHECK(stored == read_file(scratch.path("3")));
  const size_t frames = shard::load_u32(stored, stored.size() - 9);
  const size_t table = stored.size() - 9 - 8 * frames;
  for (size_t i = 1; i + 3 < frames; ++i) CHECK(shard::load_u32(stored, table + 8 * i + 4) == 65536);
}

TEST_CASE("token shards of one tokenizer read as one, however the documents are spread", "[shard]") {
  const Scratch scratch;
  const auto documents = some_documents(20, 300);
  const shard::TokenShardInfo info{"abcd", 300, 299};
  write_tokens(scratch.path("all"), documents, info);
  write_tokens(scratch.path("a"), {documents.begin(), documents.begin() + 7}, info);
  write_tokens(scratch.path("b"), {documents.begin() + 7, documents.end()}, info);
  const auto whole = shard::read_tokens({scratch.path("all")});
  const auto listed = shard::read_tokens({scratch.path("a"), scratch.path("b")});
  const auto glued =
      shard::read_tokens({scratch.file("ab", read_file(scratch.path("a")) + read_file(scratch.path("b")))});
  CHECK(listed.ids == whole.ids);
  CHECK(listed.document_starts == whole.document_starts);
  CHECK(listed.digest == whole.digest);
  CHECK(glued.digest == whole.digest);
  CHECK(shard::read_tokens({scratch.path("a")}).digest != whole.digest);
}

TEST_CASE("an empty token shard, and empty documents, are in order", "[shard]") {
  const Scratch scratch;
  write_tokens(scratch.path("none"), {}, {"abcd", 300, 0});
  CHECK(shard::read_tokens({scratch.path("none")}, "abcd").ids.empty());
  CHECK(contains(error_of([&] { shard::read_tokens({scratch.path("none")}, "ef"); }),
                 "made with tokenizer abcd"));
  write_tokens(scratch.path("blank"), {{}, {}}, {"abcd", 300, 0});
  CHECK(shard::read_tokens({scratch.path("blank")}).document_starts == std::vector<uint64_t>{0, 1});
}

TEST_CASE("a tokenizer that does not belong to a shard is an error with both names", "[shard]") {
  const Scratch scratch;
  write_tokens(scratch.path("a"), {{1}}, {"aaaa", 300, 0});
  write_tokens(scratch.path("b"), {{1}}, {"bbbb", 300, 0});
  const std::string wrong = error_of([&] { shard::read_tokens({scratch.path("a")}, "cccc"); });
  CHECK(contains(wrong, "aaaa"));
  CHECK(contains(wrong, "cccc"));
  CHECK(contains(error_of([&] {
                   shard::read_tokens({scratch.path("a"), scratch.path("b")});
                 }),
                 "tokenize all"));
}

TEST_CASE("ids outside the vocabulary are refused on both sides", "[shard]") {
  const Scratch scratch;
  shard::TokenWriter writer(scratch.path("a"), {"aaaa", 300, 0}, Json::object(), 1, 1);
  CHECK_THROWS_AS(writer.write(Ids{300}), Error);
  CHECK_THROWS_AS(shard::TokenWriter(scratch.path("b"), {"aaaa", 300, 300}, Json::object(), 1, 1), Error);
  CHECK(contains(forged(scratch.path("c"), std::string("\x05\0\xFF\x01", 4), std::string(1, '\0'), 1),
                 "id 511"));
}

TEST_CASE("an index that does not fit the ids is an error", "[shard]") {
  const Scratch scratch;
  const std::string path = scratch.path("a"), ids("\x05\0\x01\0\x05\0\x02\0", 8);
  const std::string good("\0\x02", 2);
  CHECK(forged(path, ids, good, 2).empty());
  CHECK(contains(forged(path, ids, std::string("\0\x01", 2), 2), "end-of-text"));
  CHECK(contains(forged(path, ids, std::string("\x02", 1), 1), "end-of-text"));
  CHECK(contains(forged(path, ids, std::string("\0\0", 2), 2), "end-of-text"));
  CHECK(contains(forged(path, ids, std::string("\0\x09", 2), 2), "end-of-text"));
  CHECK(contains(forged(path, ids, std::string("\0\x82", 2), 2), "index of documents"));
  CHECK(contains(forged(path, ids, std::string(12, '\xFF'), 2), "index of documents"));
  CHECK(contains(forged(path, ids, good, 3), "2 documents for 3"));
  CHECK(contains(forged(path, ids, "", 0), "damaged"));
  CHECK(contains(forged(path, ids.substr(0, 7), good, 2), "the last id is cut"));
}

TEST_CASE("what is no token shard is refused where ids are wanted", "[shard]") {
  const Scratch scratch;
  write_shard(scratch.path("a"), {"{}"});
  const auto plain = scratch.file("b", "{}\n");
  CHECK(contains(error_of([&] { shard::read_tokens({scratch.path("a")}); }), "no token shard"));
  CHECK(contains(error_of([&] { shard::read_tokens({plain}); }), "no token shard"));
  CHECK(contains(error_of([] { shard::read_tokens({"/dev/null"}); }), "no token shard"));
}

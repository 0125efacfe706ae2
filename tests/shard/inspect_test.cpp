#include <cstdint>
#include <string>
#include <vector>

#include "shard/inspect.hpp"
#include "shard/shard_files.hpp"
#include "shard/tokens.hpp"
#include "support/catch.hpp"
#include "support/data.hpp"

using namespace gristmill;
using namespace gristmill::test;
using Lines = std::vector<std::string>;

namespace {

void write_tokens(const std::string& path) {
  shard::TokenWriter writer(path, {"00ff", 300, 7}, Json::object(), 1, 1);
  writer.write(std::vector<uint32_t>{1, 299});
  writer.write(std::vector<uint32_t>{});
  writer.write(std::vector<uint32_t>{3});
  writer.close(Json::array());
}

Lines cat(const Lines& inputs, uint64_t limit = UINT64_MAX) {
  Lines lines;
  shard::cat_records(inputs, limit, [&](std::string_view record) { lines.emplace_back(record); });
  return lines;
}

}  // namespace

TEST_CASE("shards of every kind print as lines, token shards as one line of ids a document", "[shard]") {
  const Scratch scratch;
  write_shard(scratch.path("a"), {"{\"n\":1}"});
  write_tokens(scratch.path("t"));
  const auto plain = scratch.file("p", "{\"n\":2}");
  const Lines tokens = {"{\"ids\":[7,1,299]}", "{\"ids\":[7]}", "{\"ids\":[7,3]}"};
  CHECK(cat({scratch.path("t")}) == tokens);
  CHECK(cat({scratch.path("a"), scratch.path("t"), plain}) ==
        Lines{"{\"n\":1}", tokens[0], tokens[1], tokens[2], "{\"n\":2}"});
  const auto twice = scratch.file("tt", read_file(scratch.path("t")) + read_file(scratch.path("t")));
  CHECK(cat({twice}) == Lines{tokens[0], tokens[1], tokens[2], tokens[0], tokens[1], tokens[2]});
}

TEST_CASE("a limit of records stops before damage that lies behind it", "[shard]") {
  const Scratch scratch;
  write_shard(scratch.path("a"), {"{\"n\":1}", "{\"n\":2}", "{\"n\":3}"});
  const std::string stored = read_file(scratch.path("a"));
  const auto cut = scratch.file("cut", std::string_view(stored).substr(0, stored.size() - 20));
  CHECK(cat({cut}, 2) == Lines{"{\"n\":1}", "{\"n\":2}"});
  CHECK(contains(error_of([&] { cat({cut}); }), "has no trailer"));
}

TEST_CASE("a description holds header, counts and inputs of each shard in a file", "[shard]") {
  const Scratch scratch;
  write_shard(scratch.path("a"), {"{\"n\":1}"});
  write_tokens(scratch.path("t"));
  const auto both = scratch.file("both", read_file(scratch.path("a")) + read_file(scratch.path("t")));
  const auto shards = shard::describe(both);
  REQUIRE(shards.size() == 2);
  CHECK(shards[0].at("file").as_string() == both);
  CHECK(shards[0].at("header").at("schema").as_string() == "documents");
  CHECK(shards[0].at("records").as_uint() == 1);
  CHECK(shards[1].at("header").at("extra").at("vocab_size").as_uint() == 300);
  CHECK(shards[1].at("header").at("extra").at("dtype").as_string() == "uint16");
  CHECK(shards[1].at("records").as_uint() == 3);
  CHECK(shards[1].at("bytes").as_uint() == 12);
  const auto plain = shard::describe(scratch.file("p", "{}\n"));
  CHECK(plain.at(0).at("format").as_string() == "plain");
}

TEST_CASE("a check passes whole inputs and names what is wrong with the others", "[shard]") {
  const Scratch scratch;
  write_shard(scratch.path("a"), {"{\"n\":1}", "no JSON, but that is its writer's affair"});
  write_tokens(scratch.path("t"));
  CHECK(shard::check(scratch.path("a")).line ==
        "ok: " + scratch.path("a") + ": documents, 2 records, 49 bytes");
  CHECK(shard::check(scratch.path("t")).line == "ok: " + scratch.path("t") + ": tokens, 3 records, 12 bytes");
  CHECK(shard::check("/dev/null").ok);
  const auto broken = shard::check(scratch.file("p", "{}\n{\"a\":\n"));
  CHECK(!broken.ok);
  CHECK(contains(broken.line, "record 2"));
  std::string stored = read_file(scratch.path("t"));
  stored[stored.size() / 2] = static_cast<char>(stored[stored.size() / 2] + 1);
  CHECK(!shard::check(scratch.file("bad", stored)).ok);
  CHECK(contains(shard::check("/no/such/file").line, "damaged: cannot open /no/such/file"));
}

TEST_CASE("shards of format version 1 are read for ever", "[shard]") {
  CHECK(cat({testdata("shard/documents-v1.jsonl.zst").string()}) ==
        Lines{R"({"id":"a","text":"The mill grinds grist."})",
              R"({"id":"b","text":"Grist comes from the mill."})"});
  CHECK(cat({testdata("shard/tokens-v1.tok.zst").string()}) ==
        Lines{"{\"ids\":[7,1,299]}", "{\"ids\":[7]}", "{\"ids\":[7,3]}"});
}

/// Run once for a new format version; the files of older ones stay.
TEST_CASE("write the golden shards of this format version", "[.golden]") {
  shard::Writer writer(testdata("shard/documents-v1.jsonl.zst").string(), some_header());
  writer.write(R"({"id":"a","text":"The mill grinds grist."})");
  writer.write(R"({"id":"b","text":"Grist comes from the mill."})");
  writer.close(Json::array());
  write_tokens(testdata("shard/tokens-v1.tok.zst").string());
}

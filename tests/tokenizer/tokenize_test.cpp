#include "tokenizer/tokenize.hpp"

#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/file.hpp"
#include "shard/reader.hpp"
#include "shard/record.hpp"
#include "shard/tokens.hpp"
#include "support/catch.hpp"
#include "support/scratch.hpp"
#include "tokenizer/samples.hpp"

using namespace gristmill;
using tokenizer::TokenizeOptions;

namespace {

std::string write_documents(const test::ScratchFolder& folder, const std::vector<std::string>& texts) {
  std::ofstream out(folder.file("in.jsonl"), std::ios::binary);
  for (const std::string& text : texts) {
    shard::Document document;
    document.id = "x";
    document.text = text;
    out << document.to_line() << "\n";
  }
  return folder.file("in.jsonl");
}

std::vector<std::string> random_documents(size_t count) {
  Rng rng(14, stream_of(RandomStream::test, 14));
  std::vector<std::string> texts;
  for (size_t i = 0; i < count; ++i) {
    texts.push_back(test::random_text(rng, 1 + static_cast<size_t>(rng.below(600)), false));
  }
  return texts;
}

}  // namespace

TEST_CASE("a token shard holds every document behind one end-of-text id, and names its tokenizer",
          "[tokenizer]") {
  const test::ScratchFolder folder;
  const auto tokenizer = test::small_tokenizer();
  auto texts = random_documents(50);
  texts.push_back("literal <|endoftext|> in a crawl");
  texts.push_back("");
  const auto stats = tokenizer::tokenize({write_documents(folder, texts)}, folder.file("out"), tokenizer, {});
  CHECK(stats.records_out == texts.size());
  const auto set = shard::read_tokens({folder.file("out")}, tokenizer.hash());
  CHECK(set.info.vocab_size == 512);
  REQUIRE(set.document_starts.size() == texts.size());
  uint64_t ends = 0;
  for (const uint32_t id : set.ids) ends += id == tokenizer.end_of_text();
  CHECK(ends == texts.size());
  std::vector<uint32_t> expected;
  for (const auto& text : texts) {
    expected.push_back(tokenizer.end_of_text());
    tokenizer.encode(text, expected);
  }
  CHECK(set.ids == expected);
}

TEST_CASE("the shard's bytes do not depend on the number of threads", "[tokenizer]") {
  const test::ScratchFolder folder;
  const auto tokenizer = test::small_tokenizer();
  const std::string input = write_documents(folder, random_documents(800));
  TokenizeOptions options;
  tokenizer::tokenize({input}, folder.file("1"), tokenizer, options);
  options.threads = 3;
  tokenizer::tokenize({input}, folder.file("3"), tokenizer, options);
  CHECK(read_file(folder.file("1")) == read_file(folder.file("3")));
}

TEST_CASE("decoding a shard gives the documents again", "[tokenizer]") {
  const test::ScratchFolder folder;
  const auto tokenizer = test::small_tokenizer();
  const auto texts = random_documents(40);
  tokenizer::tokenize({write_documents(folder, texts)}, folder.file("shard"), tokenizer, {});
  tokenizer::detokenize({folder.file("shard")}, folder.file("back"), tokenizer, {});
  shard::Reader reader({folder.file("back")});
  size_t count = 0;
  for (std::string_view record; reader.next(record); ++count) {
    const auto document = shard::Document::parse(record, "back");
    REQUIRE(count < texts.size());
    CHECK(document.text == texts[count]);
    CHECK(document.id == std::to_string(count));
  }
  CHECK(count == texts.size());
}

TEST_CASE("a plain text of any bytes survives the way through a shard and through lines of ids",
          "[tokenizer]") {
  const test::ScratchFolder folder;
  const auto tokenizer = test::small_tokenizer();
  Rng rng(15, stream_of(RandomStream::test, 15));
  const std::string bytes = test::random_bytes(rng, 5000) + test::random_text(rng, 500, true);
  write_file(folder.file("text"), bytes);
  TokenizeOptions options;
  options.text = true;
  for (const bool ids : {false, true}) {
    options.ids = ids;
    CHECK(tokenizer::tokenize({folder.file("text")}, folder.file("ids"), tokenizer, options).records_out ==
          1);
    tokenizer::detokenize({folder.file("ids")}, folder.file("back"), tokenizer, options);
    CHECK(read_file(folder.file("back")) == bytes);
  }
}

TEST_CASE("bad records and bad lines of ids are counted and left out", "[tokenizer]") {
  const test::ScratchFolder folder;
  const auto tokenizer = test::small_tokenizer();
  write_file(folder.file("in.jsonl"), "{\"text\":\"a\"}\n[]\n{\"id\":\"2\"}\n");
  TokenizeOptions options;
  options.ids = true;
  auto stats = tokenizer::tokenize({folder.file("in.jsonl")}, folder.file("ids"), tokenizer, options);
  CHECK(stats.records_in == 3);
  CHECK(stats.dropped.at("bad_record") == 2);
  CHECK(read_file(folder.file("ids")) == "68\n");
  write_file(folder.file("lines"), "68 69\n68 x\n512\n-1\n\n99999999999999999999\n68\r\n");
  options.text = true;
  stats = tokenizer::detokenize({folder.file("lines")}, folder.file("back"), tokenizer, options);
  CHECK(read_file(folder.file("back")) == "aba");
  CHECK(stats.records_in == 7);
  CHECK(stats.dropped.at("bad_record") == 4);
}

TEST_CASE("a shard of another tokenizer is refused", "[tokenizer]") {
  const test::ScratchFolder folder;
  const auto tokenizer = test::small_tokenizer();
  tokenizer::tokenize({write_documents(folder, {"a"})}, folder.file("shard"), tokenizer, {});
  const auto other = tokenizer::Tokenizer::parse(tokenizer.json() + "\n", "other");
  CHECK_THROWS_AS(tokenizer::detokenize({folder.file("shard")}, folder.file("back"), other, {}), Error);
}

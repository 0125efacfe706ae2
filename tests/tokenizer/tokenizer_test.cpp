#include "tokenizer/tokenizer.hpp"

#include <zstd.h>

#include <cstdint>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/hash.hpp"
#include "base/json.hpp"
#include "base/str.hpp"
#include "support/catch.hpp"
#include "tokenizer/pretokenizer.hpp"
#include "tokenizer/samples.hpp"

using namespace gristmill;
using tokenizer::Tokenizer;

namespace {

using Ids = std::vector<uint32_t>;

// The definition of the encoding, quadratic: join the leftmost pair of lowest rank until there is none.
Ids slow_encode(const Tokenizer& tokenizer, std::string_view text) {
  const Json model = Json::parse(tokenizer.json()).at("model");
  std::vector<std::pair<std::string, std::string>> merges;
  std::vector<std::string> spelling(tokenizer.vocab_size());
  for (const auto& [name, id] : model.at("vocab").as_object()) spelling[id.as_uint()] = name;
  std::map<std::string, uint32_t> ids;
  for (uint32_t id = 0; id < spelling.size(); ++id) ids[spelling[id]] = id;
  std::map<std::string, uint32_t> by_bytes;
  for (uint32_t id = 0; id < spelling.size(); ++id) by_bytes[std::string(tokenizer.token_bytes(id))] = id;
  for (const Json& rule : model.at("merges").as_array()) {
    merges.emplace_back(rule.as_array()[0].as_string(), rule.as_array()[1].as_string());
  }
  Ids result;
  for (size_t at = 0; at < text.size();) {
    const size_t end = tokenizer::next_piece(text, at);
    std::vector<std::string> symbols;
    for (; at < end; ++at) symbols.push_back(spelling[by_bytes.at(std::string(text.substr(at, 1)))]);
    for (const auto& [left, right] : merges) {  // by rank: a merge never makes room for an earlier one
      std::vector<std::string> next;
      for (size_t i = 0; i < symbols.size(); ++i) {
        const bool joins = i + 1 < symbols.size() && symbols[i] == left && symbols[i + 1] == right;
        next.push_back(joins ? left + right : symbols[i]);
        i += joins ? 1 : 0;
      }
      symbols = std::move(next);
    }
    for (const auto& symbol : symbols) result.push_back(ids.at(symbol));
  }
  return result;
}

// 256 bytes by their own numbers, and what the test adds.
std::string file_with(const std::string& more_tokens, const std::string& merges,
                      const std::string& model_keys = "") {
  const Json small = Json::parse(read_file(test::testdata("tokenizer/small.json").string()));
  std::string vocab;
  size_t count = 0;
  for (const auto& [name, id] : small.at("model").at("vocab").as_object()) {
    if (id.as_uint() < 4 || id.as_uint() >= 260) continue;
    vocab += count == 0 ? "" : ",";
    append_json_string(vocab, name);
    vocab += str(":", count++);
  }
  return str(
      R"({"version":"1.0","added_tokens":[],"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false},)",
      R"("model":{"type":"BPE",)", model_keys, R"("vocab":{)", vocab, more_tokens, R"(},"merges":[)", merges,
      "]}}");
}

std::string decompress(const std::string& packed) {
  std::string out(static_cast<size_t>(ZSTD_getFrameContentSize(packed.data(), packed.size())), '\0');
  REQUIRE(ZSTD_decompress(out.data(), out.size(), packed.data(), packed.size()) == out.size());
  return out;
}

// Processor time: a busy machine must not fail a test.
double seconds(const std::function<void()>& work) {
  const std::clock_t start = std::clock();
  work();
  return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
}

}  // namespace

TEST_CASE("ids equal Hugging Face's on the texts of testdata", "[tokenizer]") {
  const Tokenizer tokenizer = test::small_tokenizer();
  LineReader lines(test::testdata("tokenizer/known.jsonl").string());
  int count = 0;
  for (std::string_view line; lines.next(line); ++count) {
    const Json record = Json::parse(line);
    Ids expected;
    for (const Json& id : record.at("ids").as_array())
      expected.push_back(static_cast<uint32_t>(id.as_uint()));
    const std::string& text = record.at("text").as_string();
    INFO(text);
    CHECK(tokenizer.encode(text) == expected);
    CHECK(tokenizer.decode(expected) == text);
  }
  CHECK(count == 30);
}

TEST_CASE("ids equal tiktoken's under GPT-2's vocabulary on every text of the known answers", "[tokenizer]") {
  REQUIRE_EXTERNAL_DATA(folder, "tokenizer");
  const Tokenizer tokenizer = Tokenizer::load(folder / "gpt2");
  LineReader index(folder / "expected" / "INDEX.tsv");
  int texts = 0;
  for (std::string_view line; index.next(line);) {
    const auto fields = split(line, '\t');
    if (fields[1] != "gpt2") continue;
    const std::string text = read_file(folder / fields[0]);
    const std::string name = std::filesystem::path(fields[0]).filename();
    const std::string bytes = decompress(read_file(folder / "expected" / (name + ".gpt2.u32.zst")));
    Ids expected(bytes.size() / 4);
    std::memcpy(expected.data(), bytes.data(), bytes.size());
    INFO(name);
    const Ids ids = tokenizer.encode(text);
    CHECK(ids.size() == parse_uint(fields[2]));
    CHECK(ids == expected);
    CHECK(tokenizer.decode(ids) == text);
    ++texts;
  }
  CHECK(texts >= 13);
}

TEST_CASE("ids equal llama.cpp's on its cases for GPT-2", "[tokenizer]") {
  REQUIRE_EXTERNAL_DATA(folder, "tokenizer");
  const Tokenizer tokenizer = Tokenizer::load(folder / "gpt2");
  std::string inputs = read_file(folder / "llamacpp" / "ggml-vocab-gpt-2.gguf.inp");
  LineReader outputs(folder / "llamacpp" / "ggml-vocab-gpt-2.gguf.out");
  const std::string separator = "\n__ggml_vocab_test__\n";
  int cases = 0;
  for (std::string_view line; outputs.next(line); ++cases) {
    const size_t end = inputs.find(separator);
    const std::string text = inputs.substr(0, end);
    inputs.erase(0, end == std::string::npos ? end : end + separator.size());
    Ids expected;
    for (const auto field : split(strip(line), ' ')) {
      if (!field.empty()) expected.push_back(static_cast<uint32_t>(*parse_uint(field)));
    }
    INFO(text);
    CHECK(tokenizer.encode(text) == expected);
  }
  CHECK(cases >= 40);
}

TEST_CASE("any bytes come back from decode(encode(x))", "[tokenizer]") {
  const Tokenizer tokenizer = test::small_tokenizer();
  Rng rng(3, stream_of(RandomStream::test, 3));
  for (int i = 0; i < 300; ++i) {
    const std::string bytes = test::random_bytes(rng, static_cast<size_t>(rng.below(300)));
    REQUIRE(tokenizer.decode(tokenizer.encode(bytes)) == bytes);
    const std::string text = test::random_text(rng, 60, true);
    REQUIRE(tokenizer.decode(tokenizer.encode(text)) == text);
  }
  for (int byte = 0; byte < 256; ++byte) {
    const std::string one(1, static_cast<char>(byte));
    REQUIRE(tokenizer.encode(one).size() == 1);
    REQUIRE(tokenizer.decode(tokenizer.encode(one)) == one);
  }
}

TEST_CASE("the malformed bytes of the known answers come back exactly", "[tokenizer]") {
  REQUIRE_EXTERNAL_DATA(file, "tokenizer/text/malformed_utf8.bin");
  const std::string bytes = read_file(file);
  const Tokenizer tokenizer = test::small_tokenizer();
  CHECK(tokenizer.decode(tokenizer.encode(bytes)) == bytes);
}

TEST_CASE("short pieces, long pieces and cached pieces get the ids of the definition", "[tokenizer]") {
  const Tokenizer tokenizer = test::small_tokenizer();
  Rng rng(4, stream_of(RandomStream::test, 4));
  for (int i = 0; i < 12; ++i) {
    std::string text = test::random_text(rng, 30, true);
    for (int word = 0; word < 3; ++word) {  // long words of frequent letters, around the change of method
      text += ' ';
      for (uint64_t n = 40 + rng.below(60); n > 0; --n) text += "theaingrs "[rng.below(9)];
    }
    const Ids expected = slow_encode(tokenizer, text);
    CHECK(tokenizer.encode(text) == expected);
    CHECK(tokenizer.encode(text) == expected);  // from the cache
  }
}

TEST_CASE("cutting a text at a safe place does not change its ids", "[tokenizer]") {
  const Tokenizer tokenizer = test::small_tokenizer();
  Rng rng(5, stream_of(RandomStream::test, 5));
  for (int i = 0; i < 300; ++i) {
    const std::string text = test::random_text(rng, 50, true);
    const size_t cut = tokenizer::safe_cut(text, static_cast<size_t>(rng.below(text.size() + 1)));
    Ids ids = tokenizer.encode(text.substr(0, cut));
    tokenizer.encode(text.substr(cut), ids);
    REQUIRE(ids == tokenizer.encode(text));
  }
}

TEST_CASE("literal special tokens in text are ordinary bytes", "[tokenizer]") {
  const Tokenizer tokenizer = test::small_tokenizer();
  for (const std::string& special : tokenizer.specials()) {
    const Ids ids = tokenizer.encode("x" + special + "y");
    for (const uint32_t id : ids) CHECK_FALSE(tokenizer.is_special(id));
    CHECK(tokenizer.decode(ids) == "x" + special + "y");
    CHECK(ids.size() > 5);
  }
}

TEST_CASE("end of text, start and end of a turn and pad are four ids", "[tokenizer]") {
  const Tokenizer tokenizer = test::small_tokenizer();
  CHECK(tokenizer.specials() ==
        std::vector<std::string>{"<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>"});
  CHECK(tokenizer.end_of_text() == 0);
  CHECK(tokenizer.special("<|im_start|>") == 1U);
  CHECK(tokenizer.special("<|im_end|>") == 2U);
  CHECK(tokenizer.special("<|pad|>") == 3U);
  CHECK_FALSE(tokenizer.special("the").has_value());
  const Ids ids = {0, tokenizer.encode("a")[0], 2};
  CHECK(tokenizer.decode(ids) == "<|endoftext|>a<|im_end|>");
  CHECK(tokenizer.decode(ids, true) == "a");
  CHECK_THROWS_AS(tokenizer.decode(Ids{tokenizer.vocab_size()}), Error);
  CHECK_THROWS_AS(tokenizer.token_bytes(UINT32_MAX), Error);
}

TEST_CASE("the tokenizer is named by the hash of its file", "[tokenizer]") {
  const std::string file = read_file(test::testdata("tokenizer/small.json").string());
  const Tokenizer tokenizer = test::small_tokenizer();
  CHECK(tokenizer.json() == file);
  CHECK(tokenizer.hash() == xxh128_hex(file));
  CHECK(Tokenizer::load(test::testdata("tokenizer/small.json").string()).vocab_size() == 512);
}

TEST_CASE("two merges may make one token, in either order of rank", "[tokenizer]") {
  // aa, aaa = aa+a, and aaaaa both ways, as files that list every split of a token have it.
  const std::string tokens = R"(,"aa":256,"aaa":257,"aaaaa":258)";
  const Tokenizer first =
      Tokenizer::parse(file_with(tokens, R"(["a","a"],["aa","a"],["aa","aaa"],["aaa","aa"])"), "first");
  CHECK(first.encode("aaaaa") == Ids{258});  // aa aa a → aa aaa
  CHECK(first.encode("aaaa") == Ids{256, 256});
  const std::string mixed = R"(,"aa":256,"baa":257,"baaaa":258,"aaaa":259)";
  const Tokenizer second = Tokenizer::parse(
      file_with(mixed, R"(["a","a"],["b","aa"],["baa","aa"],["aa","aa"],["b","aaaa"])"), "second");
  CHECK(second.encode("baaaa") == Ids{258});
  CHECK(second.encode("aaaa") == Ids{259});
}

TEST_CASE("ignore_merges takes a piece that is a token as it is", "[tokenizer]") {
  const std::string tokens = R"(,"ab":256,"xyz":257)";
  const Tokenizer with =
      Tokenizer::parse(file_with(tokens, R"(["a","b"])", R"("ignore_merges":true,)"), "with");
  const Tokenizer without = Tokenizer::parse(file_with(tokens, R"("a b")"), "without");
  CHECK(with.encode("xyz") == Ids{257});
  CHECK(with.encode("xyzz").size() == 4);
  CHECK(without.encode("xyz").size() == 3);
  CHECK(without.encode("ab") == Ids{256});
}

TEST_CASE("a megabyte of one letter is encoded in a moment", "[tokenizer]") {
  const Tokenizer tokenizer = Tokenizer::parse(
      file_with(R"(,"aa":256,"aaaa":257,"aaaaaaaa":258)", R"("a a","aa aa","aaaa aaaa")"), "runs");
  const std::string run(1 << 20, 'a');
  CHECK(seconds([&] { CHECK(tokenizer.encode(run).size() == run.size() / 8); }) < 2);
  Rng rng(6, stream_of(RandomStream::test, 6));
  std::string letters;
  for (int i = 0; i < 1 << 17; ++i) letters += "theaingrs"[rng.below(9)];
  const Tokenizer small = test::small_tokenizer();
  CHECK(seconds([&] { CHECK(small.decode(small.encode(letters)) == letters); }) < 2);
}

TEST_CASE("one tokenizer serves several threads", "[tokenizer]") {
  const Tokenizer tokenizer = test::small_tokenizer();
  Rng rng(7, stream_of(RandomStream::test, 7));
  const std::string text = test::random_text(rng, 5000, true);
  const Ids expected = tokenizer.encode(text);
  std::vector<int> equal(4);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < equal.size(); ++i) {
    threads.emplace_back([&, i] {
      for (int n = 0; n < 5; ++n) equal[i] += tokenizer.encode(text) == expected;
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(equal == std::vector<int>(4, 5));
}

TEST_CASE("tokenizer_config.json names the tokens and holds ChatML", "[tokenizer]") {
  const Json config = Json::parse(tokenizer_config_json(test::small_tokenizer()));
  CHECK(config.at("tokenizer_class").as_string() == "PreTrainedTokenizerFast");
  CHECK(config.at("eos_token").as_string() == "<|endoftext|>");
  CHECK(config.at("pad_token").as_string() == "<|pad|>");
  CHECK(config.at("chat_template").as_string().find("<|im_start|>assistant") != std::string::npos);
  CHECK(config.at("added_tokens_decoder").at("2").at("content").as_string() == "<|im_end|>");
}

TEST_CASE("a tokenizer without an end-of-text token says so when one is needed", "[tokenizer]") {
  const Tokenizer tokenizer = Tokenizer::parse(file_with("", ""), "bare");
  CHECK(tokenizer.vocab_size() == 256);
  CHECK_THROWS_AS(tokenizer.end_of_text(), Error);
}

#include "tokenizer/train.hpp"

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/json.hpp"
#include "base/str.hpp"
#include "support/catch.hpp"
#include "support/scratch.hpp"
#include "tokenizer/byte_alphabet.hpp"
#include "tokenizer/pretokenizer.hpp"
#include "tokenizer/samples.hpp"
#include "tokenizer/vocabulary.hpp"

using namespace gristmill;
using tokenizer::Ties;
using tokenizer::Trained;
using tokenizer::TrainOptions;

namespace {

using StringPair = std::pair<std::string, std::string>;

Trained train_on(const std::vector<std::string>& texts, const TrainOptions& options) {
  size_t next = 0;
  return tokenizer::train(
      [&]() -> std::optional<std::string> {
        if (next == texts.size()) return std::nullopt;
        return texts[next++];
      },
      options);
}

std::vector<StringPair> merges_of(const std::string& json) {
  const auto vocabulary = tokenizer::parse_vocabulary(json, "trained");
  std::vector<StringPair> merges;
  for (const auto& rule : vocabulary.merges) {
    merges.emplace_back(vocabulary.tokens[rule.left], vocabulary.tokens[rule.right]);
  }
  return merges;
}

// Training by its definition: count all pairs anew for every join.
std::vector<StringPair> slow_train(const std::vector<std::string>& texts, const TrainOptions& options) {
  std::map<std::string, int64_t> counts;
  for (const std::string& text : texts) {
    for (size_t at = 0; at < text.size();) {
      const size_t end = tokenizer::next_piece(text, at);
      ++counts[text.substr(at, end - at)];
      at = end;
    }
  }
  std::vector<std::pair<std::vector<std::string>, int64_t>> words;
  for (const auto& [word, count] : counts) {
    words.emplace_back();
    for (const char byte : word) words.back().first.emplace_back(1, byte);
    words.back().second = count;
  }
  std::map<std::string, uint64_t> order;  // of tokens, as ids are
  for (const uint8_t byte : tokenizer::bytes_by_spelling())
    order.emplace(std::string(1, static_cast<char>(byte)), order.size());
  std::vector<StringPair> merges;
  while (order.size() + options.special_tokens.size() < options.vocab_size) {
    std::map<StringPair, int64_t> pairs;
    for (const auto& [symbols, count] : words) {
      for (size_t i = 0; i + 1 < symbols.size(); ++i) pairs[{symbols[i], symbols[i + 1]}] += count;
    }
    const auto better = [&](const auto& a, const auto& b) {
      if (a.second != b.second) return a.second > b.second;
      if (options.ties == Ties::cs336) return a.first > b.first;
      return std::pair(order[a.first.first], order[a.first.second]) <
             std::pair(order[b.first.first], order[b.first.second]);
    };
    auto best = pairs.begin();
    for (auto it = pairs.begin(); it != pairs.end(); ++it) {
      if (better(*it, *best)) best = it;
    }
    if (best == pairs.end() || best->second < static_cast<int64_t>(options.min_frequency)) break;
    const auto [left, right] = best->first;
    merges.emplace_back(left, right);
    REQUIRE(order.emplace(left + right, order.size()).second);  // no two joins make one token
    for (auto& word : words) {
      std::vector<std::string> symbols;
      for (size_t i = 0; i < word.first.size(); ++i) {
        const bool joins = i + 1 < word.first.size() && word.first[i] == left && word.first[i + 1] == right;
        symbols.push_back(joins ? left + right : word.first[i]);
        i += joins ? 1 : 0;
      }
      word.first = std::move(symbols);
    }
  }
  return merges;
}

TrainOptions options_for(uint64_t vocab_size, Ties ties = Ties::hf) {
  TrainOptions options;
  options.vocab_size = vocab_size;
  options.ties = ties;
  return options;
}

std::vector<std::string> prose() {
  std::vector<std::string> texts;
  LineReader lines(test::testdata("tokenizer/prose.jsonl").string());
  for (std::string_view line; lines.next(line);) texts.push_back(Json::parse(line).at("text").as_string());
  return texts;
}

}  // namespace

TEST_CASE("the trainer joins what the definition joins, under both rules for ties", "[tokenizer]") {
  Rng rng(11, stream_of(RandomStream::test, 11));
  for (int i = 0; i < 12; ++i) {
    std::vector<std::string> texts;
    for (int n = 0; n < 4; ++n) texts.push_back(test::random_text(rng, 40, true));
    for (const Ties ties : {Ties::hf, Ties::cs336}) {
      auto options = options_for(330, ties);
      options.special_tokens = {"<|pad|>"};  // not in these texts
      options.min_frequency = 1 + rng.below(2);
      CHECK(merges_of(train_on(texts, options).json) == slow_train(texts, options));
    }
  }
}

TEST_CASE("runs of one letter are joined without overlap", "[tokenizer]") {
  Rng rng(12, stream_of(RandomStream::test, 12));
  for (int i = 0; i < 40; ++i) {
    std::vector<std::string> texts;
    for (int n = 0; n < 4; ++n) {
      std::string word;
      for (uint64_t length = 2 + rng.below(14); length > 0; --length) word += "aaab"[rng.below(4)];
      texts.push_back(word);
    }
    auto options = options_for(290);
    options.min_frequency = 1;
    CHECK(merges_of(train_on(texts, options).json) == slow_train(texts, options));
  }
  auto options = options_for(262);
  options.min_frequency = 1;
  const std::vector<StringPair> expected = {{"a", "a"}, {"aa", "a"}};
  CHECK(merges_of(train_on({"aaa"}, options).json) == expected);
}

TEST_CASE("training the prose of testdata gives the committed file", "[tokenizer]") {
  CHECK(train_on(prose(), options_for(512)).json ==
        read_file(test::testdata("tokenizer/small.json").string()));
}

TEST_CASE("merges equal the reference of Stanford's CS336", "[tokenizer]") {
  REQUIRE_EXTERNAL_DATA(folder, "tokenizer/cs336");
  auto options = options_for(500, Ties::cs336);
  options.special_tokens = {"<|endoftext|>"};
  const auto merges = merges_of(train_on({read_file(folder / "corpus.en")}, options).json);
  LineReader lines(folder / "train-bpe-reference-merges.txt");
  size_t count = 0;
  for (std::string_view line; lines.next(line); ++count) {
    const auto parts = split(line, ' ');
    REQUIRE(count < merges.size());
    CHECK(tokenizer::spell_bytes(merges[count].first) == parts[0]);
    CHECK(tokenizer::spell_bytes(merges[count].second) == parts[1]);
  }
  CHECK(count == 243);
  CHECK(count == merges.size());
}

TEST_CASE("the result depends neither on threads nor on the order of documents", "[tokenizer]") {
  Rng rng(13, stream_of(RandomStream::test, 13));
  std::vector<std::string> texts;
  for (int i = 0; i < 200; ++i) texts.push_back(test::random_text(rng, 3000, true));
  auto options = options_for(400);
  const std::string one = train_on(texts, options).json;
  options.threads = 3;
  CHECK(train_on(texts, options).json == one);
  std::reverse(texts.begin(), texts.end());
  CHECK(train_on(texts, options).json == one);
}

TEST_CASE("a smaller vocabulary is a prefix of a larger one", "[tokenizer]") {
  const auto small = merges_of(train_on(prose(), options_for(300)).json);
  auto large = merges_of(train_on(prose(), options_for(450)).json);
  REQUIRE(small.size() == 40);
  large.resize(small.size());
  CHECK(small == large);
}

TEST_CASE("special tokens in the text separate and are not counted", "[tokenizer]") {
  auto options = options_for(265);
  options.special_tokens = {"<|a|>", "<|a|><|b|>"};
  options.min_frequency = 1;
  const auto with = train_on({"xy<|a|><|b|>xy<|a|>xy"}, options);
  CHECK(merges_of(with.json) == std::vector<StringPair>{{"x", "y"}});
  std::string many;
  for (int i = 0; i < 100000; ++i) many += "<|a|>xy";
  CHECK(merges_of(train_on({many}, options).json) == std::vector<StringPair>{{"x", "y"}});
}

TEST_CASE("lines are cut first when asked for", "[tokenizer]") {
  auto options = options_for(261);
  options.special_tokens = {};
  options.min_frequency = 1;
  const std::vector<std::string> texts = {"\n\n\n"};
  CHECK(merges_of(train_on(texts, options).json).size() == 2);
  options.split_lines = true;
  CHECK(merges_of(train_on(texts, options).json).empty());
}

TEST_CASE("all bytes are in the vocabulary whatever the text", "[tokenizer]") {
  const auto trained = train_on({"z"}, options_for(300));
  CHECK(trained.vocab_size == 260);
  const auto tokenizer = tokenizer::Tokenizer::parse(trained.json, "trained");
  CHECK(tokenizer.decode(tokenizer.encode("\xFF\x01粉")) == "\xFF\x01粉");
}

TEST_CASE("nothing to learn from is an error", "[tokenizer]") {
  CHECK_THROWS_AS(train_on({}, options_for(300)), Error);
}

TEST_CASE("a word of a megabyte without a place to cut it trains in a moment", "[tokenizer]") {
  std::string word(1 << 20, 'a');
  for (size_t i = 0; i < word.size(); i += 7) word[i] = static_cast<char>('b' + i % 20);
  const auto trained = train_on({word}, options_for(600));
  CHECK(trained.vocab_size > 300);
}

TEST_CASE("options that cannot be met are refused", "[tokenizer]") {
  const auto refused = [](TrainOptions options) {
    try {
      train_on({"abc abc abc Ġ"}, options);
    } catch (const Error& error) {
      return error.kind() == Kind::usage;
    }
    return false;
  };
  CHECK(refused(options_for(259)));
  CHECK_FALSE(refused(options_for(260)));
  auto options = options_for(300);
  options.special_tokens = {"x", "x"};
  CHECK(refused(options));
  options.special_tokens = {""};
  CHECK(refused(options));
  options.special_tokens = {"\xFF"};
  CHECK(refused(options));
  options.special_tokens = {"Ġ"};  // how a space is spelt
  CHECK(refused(options));
  options.special_tokens = {"Ġabc"};
  CHECK(refused(options));
}

TEST_CASE("records that are no documents are counted, not trained on", "[tokenizer]") {
  const test::ScratchFolder folder;
  std::ofstream(folder.file("in.jsonl")) << "{\"id\":\"1\",\"text\":\"ab ab\"}\nno json\n{\"id\":\"2\"}\n";
  shard::Reader reader({folder.file("in.jsonl")});
  const auto trained = tokenizer::train(reader, options_for(261));
  CHECK(trained.stats.records_in == 3);
  CHECK(trained.stats.records_out == 1);
  CHECK(trained.stats.dropped.at("bad_record") == 2);
}

#include "tokenizer/vocabulary.hpp"

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/json.hpp"
#include "base/str.hpp"
#include "support/catch.hpp"
#include "tokenizer/byte_alphabet.hpp"
#include "tokenizer/samples.hpp"

using namespace gristmill;
using tokenizer::parse_vocabulary;

namespace {

std::string small_file() { return read_file(test::testdata("tokenizer/small.json").string()); }

// The message with which the changed file is refused.
std::string refusal(const std::string& file) {
  try {
    parse_vocabulary(file, "FILE");
  } catch (const Error& error) {
    CHECK(error.kind() == Kind::input);
    return error.what();
  }
  return "accepted";
}

std::string replaced(const std::string& from, const std::string& to) {
  std::string file = small_file();
  const size_t at = file.find(from);
  REQUIRE(at != std::string::npos);
  return file.replace(at, from.size(), to);
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("bytes are spelt as in GPT-2's alphabet and back", "[tokenizer]") {
  CHECK(tokenizer::spell_bytes(" \n!~") == "ĠĊ!~");
  CHECK(tokenizer::spell_bytes("\xAD\xA0\xFF\x7F") == "\u0143\u0142ÿ\u0121");
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  CHECK(tokenizer::unspell_bytes(tokenizer::spell_bytes(all)) == all);
  CHECK_FALSE(tokenizer::unspell_bytes(" ").has_value());
  CHECK_FALSE(tokenizer::unspell_bytes("\u0144").has_value());
  CHECK_FALSE(tokenizer::unspell_bytes("粉").has_value());
  CHECK_FALSE(tokenizer::unspell_bytes("\xFF").has_value());
}

TEST_CASE("a vocabulary written and read again is the same, byte for byte", "[tokenizer]") {
  const auto vocabulary = parse_vocabulary(small_file(), "FILE");
  CHECK(to_tokenizer_json(vocabulary) == small_file());
  CHECK(vocabulary.tokens.size() == 512);
  CHECK(vocabulary.merges.size() == 512 - 260);
}

TEST_CASE("merges are read as pairs and as strings", "[tokenizer]") {
  const auto pairs = parse_vocabulary(small_file(), "FILE");
  Json file = Json::parse(small_file());
  for (Json& rule : file.find("model")->find("merges")->as_array()) {
    rule = Json(rule.as_array()[0].as_string() + " " + rule.as_array()[1].as_string());
  }
  const auto strings = parse_vocabulary(file.dump(), "FILE");
  REQUIRE(pairs.merges.size() == strings.merges.size());
  for (size_t i = 0; i < pairs.merges.size(); ++i) {
    CHECK(pairs.merges[i].left == strings.merges[i].left);
    CHECK(pairs.merges[i].result == strings.merges[i].result);
  }
}

TEST_CASE("what is missing or wrong in a tokenizer file is said with its place", "[tokenizer]") {
  CHECK(has(refusal("{"), "FILE"));
  CHECK(has(refusal("[]"), "FILE: is no JSON object"));
  CHECK(has(refusal("{}"), "model"));
  CHECK(has(refusal(replaced("\"BPE\"", "\"Unigram\"")), "model.type is not BPE"));
  CHECK(has(refusal(replaced("\"normalizer\": null", "\"normalizer\": {\"type\":\"NFC\"}")), "normalizer"));
  CHECK(has(refusal(replaced("\"pre_tokenizer\": {\"type\": \"ByteLevel\"",
                             "\"pre_tokenizer\": {\"type\": \"Split\"")),
            "only GPT-2's pattern"));
  CHECK(has(refusal(replaced("\"use_regex\": true", "\"use_regex\": false")), "only GPT-2's pattern"));
  CHECK(has(refusal(replaced("\"add_prefix_space\": false", "\"add_prefix_space\": true")),
            "add_prefix_space"));
  CHECK(has(refusal(replaced("\"dropout\": null", "\"dropout\": 0.1")), "dropout"));
  CHECK(has(refusal(replaced("\"end_of_word_suffix\": null", "\"end_of_word_suffix\": \"</w>\"")),
            "end_of_word_suffix"));
}

TEST_CASE("ids with gaps, twice given or out of range are refused", "[tokenizer]") {
  CHECK(has(refusal(replaced("\"a\": 68", "\"a\": 512")), "no gaps"));
  CHECK(has(refusal(replaced("\"a\": 68", "\"a\": 69")), "given twice"));
  CHECK(has(refusal(replaced("\"a\": 68", "\"a\": -1")), "no gaps"));
  CHECK(has(refusal(replaced("\"a\": 68", "\"a\": 68.5")), "no gaps"));
  CHECK(has(refusal(replaced("\"a\": 68", "\"a\": 18446744073709551615")), "no gaps"));
  CHECK(has(refusal(replaced("\"a\": 68", "\"a\": \"68\"")), "no gaps"));
  CHECK(has(refusal(replaced("\"a\": 68,\n", "")), "gaps"));
  CHECK(has(refusal(replaced("\"a\": 68", "\"a 粉\": 68")), "spells no bytes"));
  CHECK(has(refusal(replaced("{\"id\": 3,", "{\"id\": 2,")), "in added_tokens"));
  CHECK(has(refusal(replaced("\"content\": \"<|pad|>\"", "\"content\": \"<|im_end|>\"")), "twice"));
}

TEST_CASE("merges must join tokens that are there, each pair once", "[tokenizer]") {
  CHECK(has(refusal(replaced("\"merges\": [\n[", "\"merges\": [\n[\"zq\", \"a\"],\n[")), "model.merges[0]"));
  CHECK(has(refusal(replaced("\"merges\": [\n[", "\"merges\": [\n[\"a\", \"zzz\"],\n[")),
            "not in model.vocab"));
  CHECK(has(refusal(replaced("\"merges\": [\n[", "\"merges\": [\n[\"a\"],\n[")), "neither a pair"));
  CHECK(has(refusal(replaced("\"merges\": [\n[", "\"merges\": [\n\"a b c\",\n[")), "neither a pair"));
  CHECK(has(refusal(replaced("\"merges\": [\n[", "\"merges\": [\n[1, 2],\n[")), "FILE"));
  std::string twice = small_file();
  const size_t begin = twice.find("\"merges\": [\n") + 12, end = twice.find('\n', begin);
  twice.insert(begin, twice.substr(begin, end - begin + 1));
  CHECK_THROWS_AS(tokenizer::Tokenizer::parse(twice, "FILE"), Error);
}

TEST_CASE("a special token that ordinary text can become is refused", "[tokenizer]") {
  CHECK(has(refusal(replaced("{\"id\": 3, \"content\": \"<|pad|>\"", "{\"id\": 68, \"content\": \"a\"")),
            "ordinary text"));
}

TEST_CASE("damaged tokenizer files are refused, never a crash", "[tokenizer]") {
  const std::string whole = small_file();
  Rng rng(10, stream_of(RandomStream::test, 10));
  int accepted = 0;
  for (int i = 0; i < 400; ++i) {
    std::string file = whole;
    switch (rng.below(4)) {
      case 0:
        file.resize(static_cast<size_t>(rng.below(file.size())));
        break;
      case 1:
        for (int n = 0; n < 3; ++n)
          file[static_cast<size_t>(rng.below(file.size()))] = static_cast<char>(rng.below(256));
        break;
      case 2:
        file.erase(static_cast<size_t>(rng.below(file.size())), static_cast<size_t>(1 + rng.below(40)));
        break;
      default: {
        const std::string part =
            file.substr(static_cast<size_t>(rng.below(file.size())), static_cast<size_t>(rng.below(60)));
        file.insert(static_cast<size_t>(rng.below(file.size())), part);
      }
    }
    try {
      const auto tokenizer = tokenizer::Tokenizer::parse(file, "FILE");
      const std::string text = "The miller's <|im_end|> 37 sacks\n\n粉屋 \xFF";
      REQUIRE(tokenizer.decode(tokenizer.encode(text)) == text);
      ++accepted;
    } catch (const Error&) {
    }
  }
  CHECK(accepted < 200);
}

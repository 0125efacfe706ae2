#include <cstdint>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "text/utf8.hpp"
#include "tokenizer/samples.hpp"
#include "tokenizer/tokenizer.hpp"

using namespace gristmill;
using tokenizer::StreamDecoder;

namespace {

std::vector<std::string> stream(const std::vector<uint32_t>& ids, bool skip_special = true) {
  StreamDecoder decoder(test::small_tokenizer(), skip_special);
  std::vector<std::string> parts;
  for (const uint32_t id : ids) parts.push_back(decoder.push(id));
  parts.push_back(decoder.finish());
  return parts;
}

// Bytes one by one, whatever the merges are.
std::vector<uint32_t> byte_ids(const std::string& text) {
  std::vector<uint32_t> ids;
  const auto tokenizer = test::small_tokenizer();
  for (const char byte : text) tokenizer.encode(std::string(1, byte), ids);
  return ids;
}

std::string joined(const std::vector<std::string>& parts) {
  std::string all;
  for (const auto& part : parts) all += part;
  return all;
}

}  // namespace

TEST_CASE("streamed text never splits a character, for any split into tokens", "[tokenizer]") {
  const auto tokenizer = test::small_tokenizer();
  Rng rng(8, stream_of(RandomStream::test, 8));
  for (int i = 0; i < 200; ++i) {
    const std::string text = test::random_text(rng, 12, false);
    std::vector<uint32_t> ids;
    for (size_t at = 0; at < text.size();) {  // random cuts, inside characters too
      const size_t length = 1 + static_cast<size_t>(rng.below(5));
      tokenizer.encode(text.substr(at, length), ids);
      at += length;
    }
    const auto parts = stream(ids);
    for (const auto& part : parts) REQUIRE(text::is_valid_utf8(part));
    REQUIRE(joined(parts) == text);
  }
}

TEST_CASE("bytes that cannot become a character pass at once, and nothing is lost", "[tokenizer]") {
  CHECK(stream(byte_ids("\xE2\x82\xAC")) == std::vector<std::string>{"", "", "\xE2\x82\xAC", ""});
  CHECK(stream(byte_ids("\x80"
                        "a")) == std::vector<std::string>{"\x80", "a", ""});
  CHECK(stream(byte_ids("\xE2"
                        "a")) == std::vector<std::string>{"",
                                                          "\xE2"
                                                          "a",
                                                          ""});
  CHECK(stream(byte_ids("\xF0\x9F\x8C")) == std::vector<std::string>{"", "", "", "\xF0\x9F\x8C"});
  CHECK(stream(byte_ids("\xE0\x80")) ==
        std::vector<std::string>{"", "\xE0\x80", ""});  // overlong: never a character
  CHECK(stream(byte_ids("\xC3\xC3\xA9")) == std::vector<std::string>{"", "\xC3", "\xC3\xA9", ""});
  Rng rng(9, stream_of(RandomStream::test, 9));
  for (int i = 0; i < 100; ++i) {
    const std::string bytes = test::random_bytes(rng, 20);
    REQUIRE(joined(stream(byte_ids(bytes))) == bytes);
  }
}

TEST_CASE("special tokens are left out of the stream unless asked for", "[tokenizer]") {
  const uint32_t a = test::small_tokenizer().encode("a")[0];
  CHECK(joined(stream({0, a, 2})) == "a");
  CHECK(joined(stream({0, a, 2}, false)) == "<|endoftext|>a<|im_end|>");
}

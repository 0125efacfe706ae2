#include "base/hash.hpp"

#include <algorithm>
#include <string>

#include "support/catch.hpp"

using namespace gristmill;

TEST_CASE("hashes give the known answers of xxHash", "[base]") {
  CHECK(xxh64("") == 0xef46db3751d8e999);
  CHECK(xxh64("a") == 0xd24ec4f1a98c6e5b);
  CHECK(xxh64("abc") == 0x44bc2cf5ad770999);
  CHECK(xxh3("") == 0x2d06800538d394c2);
  CHECK(xxh128_hex("") == "99aa06d3014798d86001c324468d497f");
  CHECK(xxh64("abc", 1) != xxh64("abc"));
  CHECK(xxh3("abc", 1) != xxh3("abc"));
}

TEST_CASE("a streamed hash does not depend on how the bytes were cut", "[base]") {
  std::string text;
  for (int i = 0; i < 1000; ++i) text += static_cast<char>(i * 7);
  for (const size_t step : {1u, 31u, 32u, 33u, 1000u}) {
    Xxh64Stream stream;
    for (size_t at = 0; at < text.size(); at += step)
      stream.update(text.data() + at, std::min(step, text.size() - at));
    CHECK(stream.digest() == xxh64(text));
  }
}

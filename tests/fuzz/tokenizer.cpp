// tokenizer.json: any bytes are a tokenizer that gives back what it was given, or an input error.
#include "tokenizer/tokenizer.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/error.hpp"

using namespace gristmill;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const auto tokenizer = tokenizer::Tokenizer::parse(text, "fuzz");
    const std::string_view sample = text.substr(0, 200);
    if (tokenizer.decode(tokenizer.encode(sample)) != sample) std::abort();
  } catch (const Error& error) {
    if (error.kind() != Kind::input) std::abort();
  }
  return 0;
}

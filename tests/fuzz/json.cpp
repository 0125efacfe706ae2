// JSON and TOML: any bytes are a value or an input error, and a value is written so that it reads back.
#include "base/json.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/error.hpp"
#include "base/toml.hpp"

using namespace gristmill;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const auto written = Json::parse(text).dump();
    if (Json::parse(written).dump() != written) std::abort();
  } catch (const Error& error) {
    if (error.kind() != Kind::input) std::abort();
  }
  try {
    parse_toml(text);
  } catch (const Error& error) {
    if (error.kind() != Kind::usage) std::abort();
  }
  return 0;
}

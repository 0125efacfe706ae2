// libFuzzer target: any bytes as a page, from charset to document.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "web/page.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace gristmill;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto result = web::process_html("page", bytes, {});
  if (result.dropped.empty()) Json::parse(result.document.to_line());  // throws if it is no valid JSON
  return 0;
}

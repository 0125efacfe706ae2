// Pages: parsing never fails, the tree keeps its promises, and any bytes go through charset, extraction and
// language.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "web/html_tree.hpp"
#include "web/page.hpp"

using namespace gristmill;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto result = web::process_html("fuzz", bytes, {});
  if (result.dropped.empty() == result.document.text.empty()) std::abort();
  const auto tree = web::parse_html(bytes);
  for (uint32_t node = 1; node < tree.size(); ++node) {
    const auto parent = tree[node].parent;
    if (parent >= node || tree[node].end <= node || tree[node].end > tree[parent].end) std::abort();
    tree.attributes(node);
  }
  return 0;
}

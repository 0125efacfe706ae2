#include "web/html_tree.hpp"

#include <algorithm>
#include <cstring>

namespace gristmill::web {

namespace {
constexpr size_t kBlockBytes = 1 << 16;
}

std::string_view HtmlTree::attribute(uint32_t node, std::string_view name) const {
  for (const auto& item : attributes(node)) {
    if (item.name == name) return item.value;
  }
  return {};
}

bool HtmlTree::has_attribute(uint32_t node, std::string_view name) const {
  const auto all = attributes(node);
  return std::any_of(all.begin(), all.end(), [&](const HtmlAttribute& item) { return item.name == name; });
}

uint32_t HtmlTree::find(Tag tag) const {
  uint32_t node = 0;
  while (node < size() && nodes_[node].tag != tag) ++node;
  return node;
}

uint32_t HtmlTree::open(Tag tag, std::string_view text, uint32_t parent) {
  const uint32_t node = size();
  nodes_.push_back({tag, parent, node + 1, static_cast<uint32_t>(attributes_.size()), 0, store(text)});
  return node;
}

void HtmlTree::add_attribute(std::string_view name, std::string_view value) {
  attributes_.push_back({store(name), store(value)});
  ++nodes_.back().attributes;
}

std::string_view HtmlTree::store(std::string_view text) {
  if (text.empty()) return {};
  if (text.size() > block_left_) {
    const size_t size = std::max(kBlockBytes, text.size());
    blocks_.push_back(std::make_unique<char[]>(size));
    block_at_ = blocks_.back().get();
    block_left_ = size;
  }
  std::memcpy(block_at_, text.data(), text.size());
  const std::string_view stored(block_at_, text.size());
  block_at_ += text.size();
  block_left_ -= text.size();
  return stored;
}

}  // namespace gristmill::web

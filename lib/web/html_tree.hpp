#pragma once

// The tree of an HTML page as two flat arrays. Nodes stand in document order, so that a subtree is a range of
// indices: a top-down pass is a loop forwards, a bottom-up pass a loop backwards, and nothing recurses.
//
// The children of a node: for (child = node + 1; child < tree[node].end; child = tree[child].end) …

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "web/html_tag.hpp"

namespace gristmill::web {

struct HtmlNode {
  Tag tag = Tag::other;  ///< Tag::text for characters
  uint32_t parent = 0;   ///< the root is its own parent
  uint32_t end = 0;      ///< one past the last node of the subtree
  uint32_t first_attribute = 0, attributes = 0;
  std::string_view text;  ///< characters of a text node, name of an element
};

struct HtmlAttribute {
  std::string_view name, value;  ///< name in lower case, value with character references resolved
};

class HtmlTree {
 public:
  uint32_t size() const { return static_cast<uint32_t>(nodes_.size()); }
  const HtmlNode& operator[](uint32_t node) const { return nodes_[node]; }
  std::span<const HtmlAttribute> attributes(uint32_t node) const {
    return std::span(attributes_).subspan(nodes_[node].first_attribute, nodes_[node].attributes);
  }
  /// The value of an attribute, or empty.
  std::string_view attribute(uint32_t node, std::string_view name) const;
  bool has_attribute(uint32_t node, std::string_view name) const;
  /// The first element with that tag in document order, or size().
  uint32_t find(Tag tag) const;

  // For the parser: an element or text is added behind the last one; its subtree is open until close() is
  // called.
  uint32_t open(Tag tag, std::string_view text, uint32_t parent);
  void add_attribute(std::string_view name, std::string_view value);  ///< of the node opened last
  void close(uint32_t node) { nodes_[node].end = size(); }

 private:
  std::string_view store(std::string_view text);
  std::vector<HtmlNode> nodes_;
  std::vector<HtmlAttribute> attributes_;
  std::vector<std::unique_ptr<char[]>> blocks_;
  size_t block_left_ = 0;
  char* block_at_ = nullptr;
};

struct HtmlLimits {
  uint32_t max_nodes = 1 << 20;   ///< what comes later is ignored
  uint32_t max_depth = 512;       ///< a deeper element is dropped, its content stays, as browsers do
  uint32_t max_attributes = 256;  ///< of one element; later ones are ignored
};

/// Parses a page (valid UTF-8) by the HTML standard's algorithm. Never fails on any input; node 0 is the
/// document.
HtmlTree parse_html(std::string_view text, const HtmlLimits& limits = {});

}  // namespace gristmill::web

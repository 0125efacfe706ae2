#include "web/page_info.hpp"

#include <algorithm>

#include "base/str.hpp"
#include "web/text_writer.hpp"

namespace gristmill::web {

namespace {

constexpr size_t kMaxTitleBytes = 1000;

void add_once(std::vector<std::string>& signals, const std::string& signal) {
  if (std::find(signals.begin(), signals.end(), signal) == signals.end()) signals.push_back(signal);
}

/// The text below a node as one line, cut at a character.
std::string one_line(const HtmlTree& tree, uint32_t node) {
  std::string text = write_text(tree, node, std::vector<bool>(tree.size()));
  for (auto& c : text) {
    if (c == '\n' || c == '\t') c = ' ';
  }
  if (text.size() > kMaxTitleBytes) {
    size_t cut = kMaxTitleBytes;
    while (cut > 0 && (static_cast<unsigned char>(text[cut]) & 0xC0) == 0x80) --cut;
    text.resize(cut);
  }
  return std::string(strip(text));
}

void read_meta(const HtmlTree& tree, uint32_t node, PageInfo& info, std::string& og_title) {
  const std::string name = to_lower_ascii(tree.attribute(node, "name"));
  const std::string_view content = tree.attribute(node, "content");
  if (name == "robots" || name == "googlebot") add_robots_signals(content, info.opt_out);
  if (name == "tdm-reservation" && strip(content) == "1") add_once(info.opt_out, "tdm-reservation");
  if (og_title.empty() && tree.attribute(node, "property") == "og:title")
    og_title = strip(content.substr(0, kMaxTitleBytes));
}

}  // namespace

void add_robots_signals(std::string_view value, std::vector<std::string>& signals) {
  const std::string lower = to_lower_ascii(value);
  for (std::string_view item : split(lower, ',')) {
    item = strip(
        item.substr(item.rfind(':') == std::string_view::npos ? 0 : item.rfind(':') + 1));  // "bot: noai"
    if (item == "none") item = "noindex";
    if (item == "noai" || item == "noindex" || item == "noarchive") add_once(signals, std::string(item));
  }
}

PageInfo page_info(const HtmlTree& tree) {
  PageInfo info;
  std::string og_title;
  uint32_t title = tree.size(), heading = tree.size();
  for (uint32_t node = 0; node < tree.size(); ++node) {
    switch (tree[node].tag) {
      case Tag::html:
        info.language = strip(tree.attribute(node, "lang"));
        break;
      case Tag::meta:
        read_meta(tree, node, info, og_title);
        break;
      case Tag::title:
        title = std::min(title, node);
        break;
      case Tag::h1:
        heading = std::min(heading, node);
        break;
      case Tag::svg:
        node = tree[node].end - 1;
        break;  // has titles of its own
      default:
        break;
    }
  }
  if (title < tree.size()) info.title = one_line(tree, title);
  if (info.title.empty()) info.title = og_title;
  if (info.title.empty() && heading < tree.size()) info.title = one_line(tree, heading);
  return info;
}

}  // namespace gristmill::web

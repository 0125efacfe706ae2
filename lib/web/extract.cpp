#include "web/extract.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "base/str.hpp"
#include "web/class_words.hpp"
#include "web/text_writer.hpp"

namespace gristmill::web {

namespace {

/// An element named like boilerplate that holds more of the page's text than this is a wrapper with an
/// unlucky name.
constexpr double kWrapperShare = 0.5;
/// A content element is the root if it holds at least this part of what was left of the page.
constexpr double kBodyShare = 0.4, kArticleShare = 0.4, kAreaShare = 0.3;
constexpr uint32_t kMinRootText = 200;
/// Hidden text stays where less than this part of the page would be left without it.
constexpr double kHiddenShare = 0.3;
/// With less than this part of the visible text, and less than so many characters, the rules took too much.
constexpr double kMinShare = 0.15;
constexpr uint32_t kEnoughText = 2000;

enum class Fate : uint8_t { keep, invisible, boilerplate };

/// Elements whose content is never text of the page.
bool is_invisible(Tag tag) {
  switch (tag) {
    case Tag::head:
    case Tag::script:
    case Tag::style:
    case Tag::template_:
    case Tag::iframe:
    case Tag::object:
    case Tag::embed:
    case Tag::svg:
    case Tag::canvas:
    case Tag::audio:
    case Tag::video:
    case Tag::map:
    case Tag::select:
    case Tag::datalist:
    case Tag::textarea:
    case Tag::button:
    case Tag::input:
    case Tag::img:
    case Tag::picture:
    case Tag::progress:
    case Tag::frameset:
    case Tag::dialog:
    case Tag::rp:
    case Tag::rt:
      return true;
    default:
      return false;
  }
}

bool is_boilerplate_role(std::string_view role) {
  static constexpr std::array<std::string_view, 12> kRoles = {
      "navigation", "banner",      "contentinfo",   "search",  "menu",    "menubar",
      "dialog",     "alertdialog", "complementary", "toolbar", "tablist", "tooltip"};
  return std::find(kRoles.begin(), kRoles.end(), role) != kRoles.end();
}

/// Whether a style attribute hides the element.
bool is_hiding_style(std::string_view style) {
  if (style.empty() || style.size() > 4096) return false;
  std::string compact = to_lower_ascii(style);
  std::erase(compact, ' ');
  return compact.find("display:none") != std::string::npos ||
         compact.find("visibility:hidden") != std::string::npos;
}

/// Visible characters: code points above the space.
uint32_t visible_characters(std::string_view text) {
  uint32_t count = 0;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    count += byte > ' ' && (byte & 0xC0) != 0x80 ? 1u : 0u;
  }
  return count;
}

class Extraction {
 public:
  Extraction(const HtmlTree& tree, const ExtractRules& rules)
      : tree_(tree),
        rules_(rules),
        pruned_(tree.size()),
        signals_(tree.size()),
        text_(tree.size()),
        links_(tree.size()) {}

  std::string run() {
    const uint32_t body = tree_.find(Tag::body);
    if (body == tree_.size()) return {};
    for (uint32_t node = body; node < tree_[body].end; ++node) {
      if (tree_[node].tag != Tag::text) read_attributes(node);
    }
    prune_hidden(body);
    // Gentler and gentler until something worth having is left.
    uint32_t root = prune_and_choose(body, true, true);
    if (!is_enough(root)) root = prune_and_choose(body, true, false);
    if (!is_enough(root)) root = prune_and_choose(body, false, false);
    std::string text = write_text(tree_, root, pruned_);
    while (!text.empty() && text.back() == '\n') text.pop_back();
    return text;
  }

 private:
  /// Marks what a browser would not show. Where that is most of the page, a script shows it later, or shows
  /// the rest in place of <noscript>: then it stays.
  void prune_hidden(uint32_t body) {
    prune_invisible(body, kHidden, true);
    const uint32_t shown = text_[body];
    prune_invisible(body, 0, true);
    const uint32_t unhidden = text_[body];
    prune_invisible(body, 0, false);
    const bool scripted = text_[body] > 2 * unhidden;
    prune_invisible(body, shown < kHiddenShare * unhidden ? 0u : kHidden, !scripted);
    visible_ = text_[body];
    hidden_ = pruned_;
  }

  void prune_invisible(uint32_t body, uint32_t signals, bool noscript) {
    std::fill(pruned_.begin(), pruned_.end(), false);
    for (uint32_t node = body + 1; node < tree_[body].end;) {
      const Tag tag = tree_[node].tag;
      const bool hidden = tag == Tag::noscript ? noscript : is_invisible(tag);
      pruned_[node] = hidden || (signals_[node] & signals) != 0;
      node = pruned_[node] ? tree_[node].end : node + 1;
    }
    measure();
  }

  bool is_enough(uint32_t root) const {
    return text_[root] >= kEnoughText || text_[root] >= kMinShare * visible_;
  }

  /// One attempt; returns the root, measured.
  uint32_t prune_and_choose(uint32_t body, bool by_class, bool by_links) {
    pruned_ = hidden_;
    measure();
    prune_boilerplate(body, by_class);
    measure();
    const uint32_t root = choose_root(body);
    if (by_links) {
      prune_links(root);
      measure();
    }
    return root;
  }

  void read_attributes(uint32_t node) {
    uint32_t signals = 0;
    for (const auto& [name, value] : tree_.attributes(node)) {
      // The ids of sections are made from their headings: "copyright" there is a subject.
      if (name == "class" || (name == "id" && tree_[node].tag != Tag::section)) {
        if (value.size() < 4096) signals |= class_signals(value);
      } else if (name == "role") {
        if (is_boilerplate_role(value)) signals |= kBoilerplate;
        if (value == "main") signals |= kContentArea;
        if (value == "article") signals |= kContentBody;
      } else if (name == "itemprop") {
        if (value == "articleBody") signals |= kContentBody;
      } else if (name == "hidden" || (name == "aria-hidden" && value == "true") ||
                 (name == "style" && is_hiding_style(value))) {
        signals |= kHidden;
      }
    }
    signals_[node] = signals;
  }

  /// Visible characters of each subtree, and how many of them stand in links. One pass backwards.
  void measure() {
    std::fill(text_.begin(), text_.end(), 0);
    std::fill(links_.begin(), links_.end(), 0);
    for (uint32_t node = 0; node < tree_.size();) {  // marks inside a pruned subtree do not matter
      if (pruned_[node]) {
        node = tree_[node].end;
        continue;
      }
      if (tree_[node].tag == Tag::text) text_[node] = visible_characters(tree_[node].text);
      ++node;
    }
    for (uint32_t node = tree_.size() - 1; node > 0; --node) {
      if (tree_[node].tag == Tag::a) links_[node] = text_[node];
      text_[tree_[node].parent] += text_[node];
      links_[tree_[node].parent] += links_[node];
    }
  }

  void prune_boilerplate(uint32_t body, bool by_class) {
    const double limit = kWrapperShare * text_[body];
    for (uint32_t node = body + 1; node < tree_[body].end;) {
      if (!pruned_[node] && is_boilerplate(node, by_class) &&
          (text_[node] <= limit || tree_[node].tag == Tag::nav || tree_[node].tag == Tag::footer))
        pruned_[node] = true;
      node = pruned_[node] ? tree_[node].end : node + 1;
    }
  }

  bool is_boilerplate(uint32_t node, bool by_class) const {
    switch (tree_[node].tag) {
      case Tag::nav:
      case Tag::footer:
      case Tag::aside:
      case Tag::menu:
        return true;
      case Tag::text:
      case Tag::main:
      case Tag::article:
      case Tag::h1:
      case Tag::body:
      case Tag::tbody:
      case Tag::pre:
        return false;
      default:
        break;
    }
    if (!by_class || (signals_[node] & (kContentBody | kContentArea)) != 0) return false;
    const uint32_t bad = kBoilerplate | kSidebar | (rules_.comments ? 0u : kComments);
    return (signals_[node] & bad) != 0;
  }

  /// The best element for a test: the one with most text, if it has `share` of the page's.
  template <class Test>
  uint32_t largest(uint32_t body, double share, const Test& test) const {
    uint32_t best = 0;
    for (uint32_t node = body; node < tree_[body].end;) {
      if (pruned_[node]) {
        node = tree_[node].end;
        continue;
      }
      if (tree_[node].tag != Tag::text && test(node) && (best == 0 || text_[node] > text_[best])) best = node;
      ++node;
    }
    const bool enough = best != 0 && text_[best] >= kMinRootText && text_[best] >= share * text_[body];
    return enough ? best : 0;
  }

  uint32_t choose_root(uint32_t body) const {
    const uint32_t main = largest(body, kAreaShare, [&](uint32_t node) {
      return tree_[node].tag == Tag::main || (signals_[node] & kContentArea) != 0;
    });
    const uint32_t area = main != 0 ? main : body;
    const uint32_t article =
        largest(area, kArticleShare, [&](uint32_t node) { return tree_[node].tag == Tag::article; });
    if (article != 0) return article;
    return area;
  }

  /// Lists, divisions and tables that are mostly links.
  void prune_links(uint32_t root) {
    for (uint32_t node = root + 1; node < tree_[root].end;) {
      if (!pruned_[node] && is_link_list(node)) pruned_[node] = true;
      node = pruned_[node] ? tree_[node].end : node + 1;
    }
  }

  bool is_link_list(uint32_t node) const {
    switch (tree_[node].tag) {
      case Tag::ul:
      case Tag::ol:
      case Tag::div:
      case Tag::section:
      case Tag::dl:
      case Tag::p:
      case Tag::header:
      case Tag::form:
        break;
      default:
        return false;
    }
    return text_[node] > 0 && links_[node] > 0.8 * text_[node];
  }

  const HtmlTree& tree_;
  ExtractRules rules_;
  std::vector<bool> pruned_, hidden_;
  uint32_t visible_ = 0;
  std::vector<uint32_t> signals_, text_, links_;
};

}  // namespace

std::string extract_text(const HtmlTree& tree, const ExtractRules& rules) {
  return Extraction(tree, rules).run();
}

}  // namespace gristmill::web

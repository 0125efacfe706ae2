#pragma once

// The main text of a page: choose the element that holds it, prune what is not text, write the rest as lines.
//
// The rules are those that the comparisons of extractors found to matter most (trafilatura, resiliparse,
// readability; see docs/ARCHITECTURE.md), reduced to a few passes over arrays, each linear in the page.

#include <string>

#include "web/html_tree.hpp"

namespace gristmill::web {

struct ExtractRules {
  bool comments = false;  ///< keep readers' comments
};

/// The main text: one line a block, lists as "- item", cells separated by tabs, no blank lines. Empty if
/// there is none.
std::string extract_text(const HtmlTree& tree, const ExtractRules& rules = {});

}  // namespace gristmill::web

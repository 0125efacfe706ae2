#pragma once

// The main text of a page: choose the element that holds it, prune what is not text, write the rest as lines.
//
// The rules are those that comparisons of extractors found to matter most (trafilatura's choice of a root by
// attributes, resiliparse's pruning by class words, link density as in readability), reduced to a few passes
// over arrays, each linear in the page. Where they leave too little, gentler ones are tried.

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

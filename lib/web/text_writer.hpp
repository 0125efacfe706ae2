#pragma once

// Writes a part of a tree as plain lines: the counterpart of a browser's rendering that keeps the words
// apart.

#include <string>
#include <vector>

#include "web/html_tree.hpp"

namespace gristmill::web {

/// The text of the subtree of `root` without the nodes marked in `pruned` (one entry a node; a mark covers
/// the subtree). Blocks end a line, list items start with "- ", table cells are separated by tabs, white
/// space is collapsed outside <pre>, blank lines are left out.
std::string write_text(const HtmlTree& tree, uint32_t root, const std::vector<bool>& pruned);

}  // namespace gristmill::web

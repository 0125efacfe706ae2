#pragma once

// What a page says of itself in its head: title, language, and whether it asks not to be used.

#include <string>
#include <string_view>
#include <vector>

#include "web/html_tree.hpp"

namespace gristmill::web {

struct PageInfo {
  std::string title;     ///< <title>, else og:title, else the first <h1>
  std::string language;  ///< <html lang>, as it stands
  /// Signals against reuse, in order of appearance: "noai", "noindex", "noarchive", "tdm-reservation".
  std::vector<std::string> opt_out;
};

PageInfo page_info(const HtmlTree& tree);

/// Adds the signals of an X-Robots-Tag or <meta name="robots"> value: "noai", "noindex" (also as "none"),
/// "noarchive".
void add_robots_signals(std::string_view value, std::vector<std::string>& signals);

}  // namespace gristmill::web

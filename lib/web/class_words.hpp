#pragma once

// What an element's class and id say about it. Each name is cut into words (at what is no letter or digit,
// and at the humps of camelCase) and looked up whole, word by word, and by pairs of words, in a table that
// says which of these count. Names of layouts ("has-sidebar"), conditions ("md:hidden") and modifiers
// ("card--share") do not.

#include <cstdint>
#include <string_view>

namespace gristmill::web {

/// A set of these is what class_signals() returns.
enum Signal : uint32_t {
  kBoilerplate = 1u << 0,  ///< navigation, sharing, advertising, consent, …
  kContentBody = 1u << 1,  ///< "article-body", "entry-content": holds the text and little else
  kContentArea = 1u << 2,  ///< "content", "main": holds the text among other things
  kHidden = 1u << 3,       ///< "sr-only", "d-none"
  kComments = 1u << 4,     ///< readers' comments below a text
  kSidebar = 1u << 5,      ///< beside the text
};

/// The signals of a class or id value.
uint32_t class_signals(std::string_view names);

}  // namespace gristmill::web

#pragma once

// What the words in an element's class and id say about it. Names are cut at every character that is no
// letter or digit and at camelCase humps, lower-cased, and looked up alone and joined with the word before
// ("post" "content").

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

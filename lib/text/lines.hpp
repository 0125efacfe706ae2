#pragma once

// Lines and white space. Two ways to cut a text into lines are in use among published filters: at "\n" alone,
// and at every line boundary of Unicode (Python's str.splitlines). A rule says which one it means.

#include <string_view>
#include <vector>

namespace gristmill::text {

/// Cuts at \n, \r\n, \r, \v, \f, U+001C-1E, U+0085, U+2028 and U+2029, as str.splitlines does: no empty
/// line behind a final boundary.
std::vector<std::string_view> split_lines(std::string_view text);

/// Without white space (any script's) at the left, the right or both ends.
std::string_view strip_left(std::string_view text);
std::string_view strip_right(std::string_view text);
std::string_view strip_space(std::string_view text);

/// The pieces between runs of white space.
std::vector<std::string_view> split_space(std::string_view text);

/// The code point that ends at text.end(); 0 for an empty text.
char32_t last_code_point(std::string_view text);

/// Sentences in a line: pieces that end in a terminal mark (with the closing quotes and brackets behind it),
/// then white space, then no lower-case letter. Initials and a few abbreviations do not end one. A rest
/// without a mark counts, so a line with any text has at least one.
size_t count_sentences(std::string_view line);

}  // namespace gristmill::text

#include "curate/fineweb.hpp"

#include <algorithm>
#include <string_view>
#include <vector>

#include "base/str.hpp"
#include "curate/gopher.hpp"
#include "text/lines.hpp"
#include "text/unicode.hpp"
#include "text/utf8.hpp"

namespace gristmill::curate {

void fineweb_quality(Page& page, const FinewebOptions& options, Sheet& sheet, Scratch& scratch) {
  std::vector<std::string_view> lines = split(page.text(), '\n');
  const auto newlines = static_cast<double>(lines.size() - 1);
  std::erase_if(lines, [](std::string_view line) { return text::strip_left(line).empty(); });
  if (sheet.drop_if("empty", lines.empty())) return;
  if (lines.empty()) return;
  double terminal = 0, brief = 0;
  for (const auto line : lines) {
    terminal += text::is_sentence_terminal(text::last_code_point(line)) ? 1 : 0;
    brief += static_cast<int64_t>(text::count_code_points(line)) <= options.short_line_length ? 1 : 0;
  }
  const auto count = static_cast<double>(lines.size());
  if (sheet.drop_below("line_punct_ratio", terminal / count, options.line_punct_thr)) return;
  if (sheet.drop_above("short_line_ratio", brief / count, options.short_line_thr)) return;
  const auto duplicate_chars = static_cast<double>(count_duplicates(lines, scratch.table).chars);
  const double chars = static_cast<double>(page.chars()) - newlines;
  if (sheet.drop_above("char_dup_ratio", duplicate_chars / chars, options.char_duplicates_ratio)) return;
  const double tokens = std::max<double>(1, static_cast<double>(page.tokens().size()));
  sheet.drop_above("list_ratio", newlines / tokens, options.new_line_ratio);
}

}  // namespace gristmill::curate

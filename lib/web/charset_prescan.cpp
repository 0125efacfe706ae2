// "Prescan a byte stream to determine its encoding" of the HTML standard (13.2.3.2), as it stands there.

#include <algorithm>
#include <string>

#include "base/str.hpp"
#include "web/charset.hpp"
#include "web/charset_labels.hpp"
#include "web/http.hpp"

namespace gristmill::web {

namespace {

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\f' || c == '\r'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

struct Attribute {
  std::string name, value;  ///< lower case
};

class Prescan {
 public:
  explicit Prescan(std::string_view head) : text_(head) {}

  std::string_view run() {
    while (at_ < text_.size()) {
      if (text_[at_] != '<') {
        at_ = std::min(text_.find('<', at_), text_.size());
      } else if (text_.substr(at_, 4) == "<!--") {
        const size_t end = text_.find("-->", at_ + 2);
        at_ = end == std::string_view::npos ? text_.size() : end + 3;
      } else if (starts_meta()) {
        at_ += 5;
        if (const auto found = meta(); !found.empty()) return found;
      } else if (is_letter(peek(1)) || (peek(1) == '/' && is_letter(peek(2)))) {
        while (at_ < text_.size() && !is_space(text_[at_]) && text_[at_] != '>') ++at_;
        Attribute ignored;
        while (attribute(ignored)) {
        }
      } else if (peek(1) == '!' || peek(1) == '/' || peek(1) == '?') {
        at_ = std::min(text_.find('>', at_), text_.size());
      } else {
        ++at_;
      }
    }
    return {};
  }

 private:
  char peek(size_t ahead) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }

  bool starts_meta() const {
    return equals_ignoring_case(text_.substr(at_, 5), "<meta") && (is_space(peek(5)) || peek(5) == '/');
  }

  std::string_view meta() {
    bool seen_pragma = false, seen_charset = false, seen_equiv = false, seen_content = false;
    int need_pragma = -1;  // unknown
    std::string label;
    Attribute found;
    while (attribute(found)) {
      if (at_ >= text_.size()) return {};  // a tag that is cut off declares nothing
      if (found.name == "http-equiv" && !seen_equiv) {
        seen_equiv = true;
        seen_pragma = found.value == "content-type";
      } else if (found.name == "content" && !seen_content) {
        seen_content = true;
        const std::string parameter = charset_parameter(found.value);
        if (parameter.empty() || need_pragma >= 0) continue;
        label = parameter;
        need_pragma = 1;
      } else if (found.name == "charset" && !seen_charset) {
        seen_charset = true;
        label = found.value;
        need_pragma = 0;
      }
    }
    if (need_pragma < 0 || (need_pragma == 1 && !seen_pragma)) return {};
    const std::string_view encoding = encoding_of_label(label);
    return encoding.substr(0, 6) == "utf-16" ? std::string_view("utf-8") : encoding;
  }

  /// "Get an attribute"; false at the end of the tag.
  bool attribute(Attribute& out) {
    while (at_ < text_.size() && (is_space(text_[at_]) || text_[at_] == '/')) ++at_;
    if (at_ >= text_.size() || text_[at_] == '>') return false;
    out = Attribute{};
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '=' && !out.name.empty()) break;
      if (is_space(c)) {
        while (at_ < text_.size() && is_space(text_[at_])) ++at_;
        if (peek(0) != '=') return true;
        break;
      }
      if (c == '/' || c == '>') return true;
      out.name += c;
      ++at_;
    }
    if (at_ < text_.size()) ++at_;  // '='
    value(out.value);
    out.name = to_lower_ascii(out.name);
    out.value = to_lower_ascii(out.value);
    return true;
  }

  void value(std::string& out) {
    while (at_ < text_.size() && is_space(text_[at_])) ++at_;
    const char quote = peek(0);
    if (quote == '"' || quote == '\'') {
      const size_t end = std::min(text_.find(quote, at_ + 1), text_.size());
      out = text_.substr(at_ + 1, end - at_ - 1);
      at_ = std::min(end + 1, text_.size());
      return;
    }
    const size_t begin = at_;
    while (at_ < text_.size() && !is_space(text_[at_]) && text_[at_] != '>') ++at_;
    out = text_.substr(begin, at_ - begin);
  }

  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace

std::string_view prescan_meta(std::string_view head) { return Prescan(head).run(); }

}  // namespace gristmill::web

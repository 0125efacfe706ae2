#include "base/toml.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "base/error.hpp"

namespace gristmill {

namespace {

constexpr int kMaxDepth = 100;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_bare(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-';
}

void append_utf8(std::string& out, uint32_t code) {
  const auto tail = [&](int shift) { out += static_cast<char>(0x80 | ((code >> shift) & 0x3F)); };
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xC0 | (code >> 6));
    tail(0);
  } else if (code < 0x10000) {
    out += static_cast<char>(0xE0 | (code >> 12));
    tail(6), tail(0);
  } else {
    out += static_cast<char>(0xF0 | (code >> 18));
    tail(12), tail(6), tail(0);
  }
}

/// A recursive-descent reader; the recursion of arrays and inline tables is capped.
class Reader {
 public:
  Reader(std::string_view text, std::string_view where) : text_(text), where_(where) {}

  Json document() {
    Json root = Json::object();
    std::vector<std::string> table;
    for (skip_blank_lines(); at_ < text_.size(); skip_blank_lines()) {
      if (peek() == '[') {
        table = table_header(root);
      } else {
        pair(table_at(root, table));
      }
      end_of_line();
    }
    return root;
  }

 private:
  template <class... Parts>
  [[noreturn]] void wrong(const Parts&... parts) const {
    const auto line = 1 + std::count(text_.begin(), text_.begin() + static_cast<std::ptrdiff_t>(at_), '\n');
    fail(Kind::usage, where_, ": line ", static_cast<int64_t>(line), ": ", parts...);
  }
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool take(char c) {
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void skip_spaces() {
    while (peek() == ' ' || peek() == '\t') ++at_;
  }
  void skip_comment() {
    if (peek() == '#') at_ = std::min(text_.find('\n', at_), text_.size());
  }
  void skip_blank_lines() {
    for (;;) {
      skip_spaces();
      skip_comment();
      if (peek() == '\r' && at_ + 1 < text_.size() && text_[at_ + 1] == '\n') ++at_;
      if (!take('\n')) return;
    }
  }
  void end_of_line() {
    skip_spaces();
    skip_comment();
    take('\r');
    if (at_ < text_.size() && !take('\n'))
      wrong("unexpected ", in_quotes(text_.substr(at_, 10)), "; expected the line to end");
  }

  std::vector<std::string> key() {
    std::vector<std::string> parts;
    do {
      skip_spaces();
      if (peek() == '"' || peek() == '\'') {
        parts.push_back(string());
      } else {
        const size_t start = at_;
        while (is_bare(peek())) ++at_;
        if (at_ == start) wrong("expected a key, found ", in_quotes(text_.substr(at_, 10)));
        parts.emplace_back(text_.substr(start, at_ - start));
      }
      skip_spaces();
    } while (take('.') && parts.size() < kMaxDepth);
    return parts;
  }

  std::vector<std::string> table_header(Json& root) {
    take('[');
    if (peek() == '[') wrong("arrays of tables ([[…]]) are not supported");
    auto name = key();
    if (!take(']')) wrong("expected ] behind the name of the table");
    const auto text = join(name, "\n");
    if (std::find(tables_.begin(), tables_.end(), text) != tables_.end())
      wrong("table [", join(name, "."), "] is given twice");
    tables_.push_back(text);
    table_at(root, name);
    return name;
  }

  Json& table_at(Json& root, const std::vector<std::string>& name) const {
    Json* at = &root;
    for (const auto& part : name) {
      at = &(*at)[part];
      if (at->is_null()) *at = Json::object();
      if (!at->is_object()) wrong("\"", part, "\" is a value, not a table");
    }
    return *at;
  }

  void pair(Json& table) {
    auto name = key();
    if (!take('=')) wrong("expected = behind the key ", join(name, "."));
    const std::string last = name.back();
    name.pop_back();
    Json& target = table_at(table, name);
    if (target.find(last) != nullptr) wrong("key \"", last, "\" is given twice");
    skip_spaces();
    Json read = value();
    target[last] = std::move(read);
  }

  Json value() {
    switch (peek()) {
      case '"':
      case '\'':
        return Json(string());
      case '[':
        return array();
      case '{':
        return inline_table();
      default:
        return scalar();
    }
  }

  void enter() {
    if (++depth_ > kMaxDepth) wrong("nested deeper than ", kMaxDepth, " levels");
  }

  Json array() {
    enter();
    take('[');
    Json items = Json::array();
    for (skip_blank_lines(); !take(']'); skip_blank_lines()) {
      items.push_back(value());
      skip_blank_lines();
      if (!take(',') && peek() != ']') wrong("expected , or ] in an array");
    }
    --depth_;
    return items;
  }

  Json inline_table() {
    enter();
    take('{');
    Json table = Json::object();
    skip_spaces();
    if (!take('}')) {
      do pair(table), skip_spaces();
      while (take(','));
      if (!take('}')) wrong("expected , or } in an inline table");
    }
    --depth_;
    return table;
  }

  std::string string() {
    const char quote = text_[at_++];
    if (text_.substr(at_, 2) == std::string(2, quote)) wrong("multi-line strings are not supported");
    std::string out;
    while (!take(quote)) {
      if (at_ >= text_.size() || peek() == '\n') wrong("a string has no closing ", quote);
      const char c = text_[at_++];
      if (c == '\\' && quote == '"') {
        escape(out);
      } else {
        out += c;
      }
    }
    return out;
  }

  void escape(std::string& out) {
    static constexpr std::string_view kNames = "btnfr\"\\", kCharacters = "\b\t\n\f\r\"\\";
    if (at_ >= text_.size()) wrong("a string ends inside an escape");
    const char name = text_[at_++];
    if (const auto found = kNames.find(name); found != std::string_view::npos) {
      out += kCharacters[found];
      return;
    }
    const size_t digits = name == 'u' ? 4 : name == 'U' ? 8 : 0;
    uint32_t code = 0;
    for (size_t i = 0; i < digits; ++i, ++at_) {
      const auto digit =
          std::string_view("0123456789abcdef").find(to_lower_ascii(std::string_view(text_).substr(at_, 1)));
      if (digit == std::string_view::npos || at_ >= text_.size())
        wrong("a \\", name, " escape wants ", digits, " hexadecimal digits");
      code = code * 16 + static_cast<uint32_t>(digit);
    }
    if (digits == 0 || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) wrong("unknown escape \\", name);
    append_utf8(out, code);
  }

  /// true, false, or a number, perhaps with underscores between its digits.
  Json scalar() {
    const size_t start = at_;
    while (is_bare(peek()) || peek() == '.' || peek() == '+' || peek() == ':') ++at_;
    const auto word = text_.substr(start, at_ - start);
    if (word == "true") return Json(true);
    if (word == "false") return Json(false);
    std::string digits;
    for (size_t i = 0; i < word.size(); ++i) {
      const bool between = i > 0 && i + 1 < word.size() && is_digit(word[i - 1]) && is_digit(word[i + 1]);
      if (word[i] != '_' || !between) digits += word[i];
    }
    if (digits.starts_with('+')) digits.erase(0, 1);
    if (const auto number = parse_int(digits)) return Json(*number);
    if (const auto number = parse_uint(digits)) return Json(*number);
    if (const auto number = parse_double(digits); number && std::isfinite(*number)) return Json(*number);
    at_ = start;
    wrong(word.empty() ? std::string("expected a value")
                       : str(in_quotes(word), " is no value; quote it if it is a text"));
  }

  std::string_view text_, where_;
  size_t at_ = 0;
  int depth_ = 0;
  std::vector<std::string> tables_;
};

void flatten(const Json& table, const std::vector<std::string>& tables, std::vector<TomlSetting>& out) {
  const auto text_of = [](const Json& item) { return item.is_string() ? item.as_string() : item.dump(); };
  for (const auto& [name, item] : table.as_object()) {
    if (item.is_object()) {
      auto inner = tables;
      inner.push_back(name);
      flatten(item, inner, out);
      continue;
    }
    TomlSetting setting{tables, name, {}};
    if (item.is_array()) {
      for (const auto& element : item.as_array()) setting.values.push_back(text_of(element));
    } else {
      setting.values.push_back(text_of(item));
    }
    out.push_back(std::move(setting));
  }
}

}  // namespace

std::vector<TomlSetting> flatten_toml(const Json& document) {
  std::vector<TomlSetting> out;
  flatten(document, {}, out);
  return out;
}

Json parse_toml(std::string_view text, std::string_view where) { return Reader(text, where).document(); }

}  // namespace gristmill

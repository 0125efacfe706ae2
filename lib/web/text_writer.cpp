#include "web/text_writer.hpp"

#include <algorithm>
#include <string_view>

namespace gristmill::web {

namespace {

constexpr size_t kMaxIndent = 8;  ///< levels of lists that are indented

class Writer {
 public:
  Writer(const HtmlTree& tree, const std::vector<bool>& pruned) : tree_(tree), pruned_(pruned) {}

  std::string run(uint32_t root) {
    const uint32_t end = tree_[root].end;
    for (uint32_t node = root; node < end;) {
      while (!open_.empty() && tree_[open_.back()].end <= node) leave();
      if (pruned_[node]) {
        node = tree_[node].end;
        continue;
      }
      if (tree_[node].tag == Tag::text) {
        text(tree_[node].text);
      } else {
        enter(node);
      }
      ++node;
    }
    while (!open_.empty()) leave();
    end_line();
    return std::move(out_);
  }

 private:
  void enter(uint32_t node) {
    const Tag tag = tree_[node].tag;
    open_.push_back(node);
    if (is_block(tag) || tag == Tag::br) end_line();
    if (tag == Tag::pre) ++pre_;
    if (is_list(tag)) ++lists_;
    if (tag == Tag::li) bullet_ = true;
    if ((tag == Tag::td || tag == Tag::th) && out_.size() > line_) {
      trim_line();
      out_ += '\t';
      space_ = false;
    }
  }

  void leave() {
    const Tag tag = tree_[open_.back()].tag;
    open_.pop_back();
    if (is_block(tag)) end_line();
    if (tag == Tag::pre) --pre_;
    if (is_list(tag)) --lists_;
    if (tag == Tag::li) bullet_ = false;
  }

  static bool is_list(Tag tag) {
    return tag == Tag::ul || tag == Tag::ol || tag == Tag::menu || tag == Tag::dir;
  }

  void text(std::string_view characters) {
    for (size_t at = 0; at < characters.size();) {
      const char c = characters[at];
      if (static_cast<unsigned char>(c) <= ' ') {
        white_space(c);
        ++at;
      } else if (const size_t special = special_length(characters.substr(at)); special > 0) {
        if (special == 2 && characters[at + 1] == '\xA0') white_space(' ');  // others are invisible
        at += special;
      } else {
        size_t end = at + 1;
        while (end < characters.size() && static_cast<unsigned char>(characters[end]) > ' ' &&
               characters[end] != '\xC2' && characters[end] != '\xE2' && characters[end] != '\xEF' &&
               characters[end] != '\x7F') {
          ++end;
        }
        visible(characters.substr(at, end - at));
        at = end;
      }
    }
  }

  /// No-break space, soft hyphen, control characters, zero-width characters, byte order mark: their length,
  /// or 0.
  static size_t special_length(std::string_view text) {
    if (text[0] == '\x7F') return 1;
    if (text[0] == '\xC2' && text.size() > 1) {
      const auto tail = static_cast<unsigned char>(text[1]);
      return tail <= 0xA0 || tail == 0xAD ? 2 : 0;
    }
    const std::string_view three = text.substr(0, 3);
    if (three == "\xE2\x80\x8B" || three == "\xE2\x81\xA0" || three == "\xEF\xBB\xBF") return 3;
    return 0;
  }

  void white_space(char c) {
    if (pre_ == 0) {
      space_ = true;
    } else if (c == '\n') {
      end_line();
    } else if (c == ' ' || c == '\t') {
      if (out_.size() == line_) begin_line();
      out_ += c;
    }
  }

  void visible(std::string_view characters) {
    if (out_.size() == line_) {
      begin_line();
    } else if (space_ && out_.back() != '\t') {
      out_ += ' ';
    }
    space_ = false;
    out_ += characters;
    content_ = true;
  }

  void begin_line() {
    if (lists_ > 1) out_.append(2 * (std::min(lists_, kMaxIndent) - 1), ' ');
    if (bullet_) out_ += "- ";
    bullet_ = false;
    space_ = false;
  }

  void trim_line() {
    while (out_.size() > line_ && (out_.back() == ' ' || out_.back() == '\t')) out_.pop_back();
  }

  /// Ends the line; one without visible characters is taken back.
  void end_line() {
    space_ = false;
    if (out_.size() == line_) return;
    trim_line();
    if (content_) {
      out_ += '\n';
    } else {
      out_.resize(line_);
    }
    content_ = false;
    line_ = out_.size();
  }

  const HtmlTree& tree_;
  const std::vector<bool>& pruned_;
  std::vector<uint32_t> open_;
  std::string out_;
  size_t line_ = 0;  ///< where the present line begins in out_
  size_t lists_ = 0, pre_ = 0;
  bool bullet_ = false;   ///< the next line is the first of a list item
  bool space_ = false;    ///< white space was seen since the last visible character
  bool content_ = false;  ///< the line has visible characters
};

}  // namespace

std::string write_text(const HtmlTree& tree, uint32_t root, const std::vector<bool>& pruned) {
  return Writer(tree, pruned).run(root);
}

}  // namespace gristmill::web

#include "emulator/ptx/lexer.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "base/error.hpp"
#include "base/str.hpp"

namespace gristmill::emulator {
namespace {

constexpr size_t kLongestWord = 4096, kMostTokens = size_t{1} << 22;

bool in_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '$' ||
         c == '%' || c == '.';
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(source) {}

  std::vector<Token> run() {
    while (skip_blanks()) next();
    tokens_.push_back({Token::Kind::end, {}, line_});
    return std::move(tokens_);
  }

 private:
  bool at(std::string_view text) const { return source_.substr(at_, text.size()) == text; }

  /// To the next token; false at the end of the text.
  bool skip_blanks() {
    while (at_ < source_.size()) {
      const char c = source_[at_];
      if (c == '\n') {
        ++line_;
        ++at_;
      } else if (c == ' ' || c == '\t' || c == '\r') {
        ++at_;
      } else if (at("//")) {
        at_ = std::min(source_.find('\n', at_), source_.size());
      } else if (at("/*")) {
        skip_comment();
      } else {
        return true;
      }
    }
    return false;
  }

  void skip_comment() {
    const size_t end = source_.find("*/", at_ + 2);
    if (end == std::string_view::npos) {
      fail(Kind::input, "PTX line ", line_, ": a comment has no end");
    }
    for (; at_ < end + 2; ++at_) line_ += source_[at_] == '\n';
  }

  void next() {
    const size_t begin = at_;
    if (in_word(source_[at_])) {
      const bool directive = source_[at_++] == '.';  // ".reg.b32" is two words, "add.f32" is one
      while (at_ < source_.size() && (in_word(source_[at_]) || at("::")) &&
             !(directive && source_[at_] == '.')) {
        at_ += at("::") ? 2 : 1;
      }
      if (at_ - begin > kLongestWord) {
        fail(Kind::input, "PTX line ", line_, ": a word of more than ", kLongestWord, " characters");
      }
      push(Token::Kind::word, begin, at_);
    } else if (source_[at_] == '"') {
      at_ = source_.find_first_of("\"\n", at_ + 1);
      if (at_ == std::string_view::npos || source_[at_] == '\n') {
        fail(Kind::input, "PTX line ", line_, ": a string has no end");
      }
      push(Token::Kind::string, begin + 1, at_++);
    } else if (std::string_view(",;:{}[]()<>|!@+-=").find(source_[at_]) != std::string_view::npos) {
      push(Token::Kind::symbol, begin, ++at_);
    } else {
      fail(Kind::input, "PTX line ", line_, ": unexpected character ", in_quotes(source_.substr(at_, 1)));
    }
  }

  void push(Token::Kind kind, size_t begin, size_t end) {
    if (tokens_.size() == kMostTokens) {
      fail(Kind::input, "PTX line ", line_, ": more than ", kMostTokens, " words and signs");
    }
    tokens_.push_back({kind, source_.substr(begin, end - begin), line_});
  }

  std::string_view source_;
  size_t at_ = 0;
  uint32_t line_ = 1;
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokenize(std::string_view source) { return Lexer(source).run(); }

}  // namespace gristmill::emulator

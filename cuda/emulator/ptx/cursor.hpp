#pragma once

// A position in the tokens of a PTX text, with the checks that every part of the parser needs.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/str.hpp"
#include "emulator/ptx/lexer.hpp"

namespace gristmill::emulator {

class Cursor {
 public:
  explicit Cursor(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  const Token& peek(size_t ahead = 0) const {
    return tokens_[at_ + ahead < tokens_.size() ? at_ + ahead : tokens_.size() - 1];
  }
  const Token& take() {
    const Token& token = peek();
    if (at_ + 1 < tokens_.size()) ++at_;
    return token;
  }
  bool at_end() const { return peek().kind == Token::Kind::end; }
  bool at(std::string_view text) const { return peek().kind != Token::Kind::string && peek().text == text; }
  bool take_if(std::string_view text) {
    if (at_end() || !at(text)) return false;
    take();
    return true;
  }
  void expect(std::string_view text) {
    if (!take_if(text)) refuse(str("expected ", in_quotes(text)));
  }
  std::string_view word(std::string_view what) {
    if (peek().kind != Token::Kind::word) refuse(str("expected ", what));
    return take().text;
  }
  /// An unsigned number of at most `limit`.
  uint64_t number(std::string_view what, uint64_t limit) {
    const auto value = parse_integer(peek().text);
    if (peek().kind != Token::Kind::word || !value.has_value()) refuse(str("expected ", what));
    if (*value > limit) refuse(str(what, " is larger than ", limit));
    take();
    return *value;
  }
  /// Everything on the line of the next token.
  void skip_line() {
    const uint32_t line = peek().line;
    while (!at_end() && peek().line == line) take();
  }
  void skip_past(std::string_view text) {
    while (!at(text)) {
      if (at_end()) refuse(str("no ", in_quotes(text), " before the end"));
      take();
    }
    take();
  }
  /// A block in braces with those inside it.
  void skip_block() {
    expect("{");
    for (size_t depth = 1; depth > 0;) {
      if (at_end()) refuse("a block has no end");
      const std::string_view text = peek().kind == Token::Kind::symbol ? take().text : (take(), "");
      depth += text == "{" ? 1 : 0;
      depth -= text == "}" ? 1 : 0;
    }
  }

  [[noreturn]] void refuse(std::string_view what) const {
    fail(Kind::input, "PTX line ", peek().line, ": ", what, ", found ",
         at_end() ? std::string("the end") : in_quotes(peek().text));
  }

  /// 12, 0x1F, 017, 0b101, with or without a final U.
  static std::optional<uint64_t> parse_integer(std::string_view text);

 private:
  std::vector<Token> tokens_;
  size_t at_ = 0;
};

}  // namespace gristmill::emulator

#include "text/words.hpp"

#include "text/unicode.hpp"
#include "text/utf8.hpp"

namespace gristmill::text {

namespace {

/// A place in the text with the class of what stands there.
struct Place {
  size_t at;
  size_t next;
  char32_t value;
  WordClass kind;
};

class Splitter {
 public:
  Splitter(std::string_view text, std::vector<Token>& tokens) : text_(text), tokens_(tokens) {}

  void run() {
    for (size_t at = 0; at < text_.size();) {
      const Place here = look(at);
      if (here.kind == WordClass::space) {
        at = here.next;
        continue;
      }
      begin(here);
      switch (here.kind) {
        case WordClass::letter:
        case WordClass::digit:
        case WordClass::katakana:
        case WordClass::connector:
          at = take_run(here);
          break;
        case WordClass::single:
          at = take_extends(here.next);
          break;
        default:
          at = take_symbols(here);
      }
      finish(at);
    }
  }

 private:
  Place look(size_t at) const {
    if (at >= text_.size()) return {at, at, 0, WordClass::space};
    const auto point = decode_utf8(text_, at);
    return {at, at + static_cast<size_t>(point.length), point.value, word_class(point.value)};
  }

  void begin(const Place& here) {
    token_ = Token{here.at, 0, 0, false, false};
    note(here);
  }
  void note(const Place& here) {
    ++token_.chars;
    const bool letter = here.kind == WordClass::letter || here.kind == WordClass::katakana ||
                        (here.kind == WordClass::single && is_letter(here.value));
    token_.is_alphabetic |= letter;
    token_.is_word |= letter || here.kind == WordClass::digit || here.kind == WordClass::single;
  }
  void finish(size_t end) {
    token_.size = static_cast<uint32_t>(end - token_.begin);
    tokens_.push_back(token_);
  }

  size_t take_extends(size_t at) {
    for (;;) {
      const Place here = look(at);
      if (here.kind != WordClass::extend) return at;
      note(here);
      at = here.next;
    }
  }

  /// WB4: the first place behind `at` that is no extend, without taking anything.
  Place look_past_extends(size_t at) const {
    Place here = look(at);
    // A few marks are enough for real text, and keep hostile text linear.
    for (int i = 0; i < 8 && here.kind == WordClass::extend; ++i) here = look(here.next);
    return here;
  }

  /// WB5, WB8-WB10, WB13-13b: what may stand side by side within a word.
  static bool joins(WordClass left, WordClass right) {
    const auto alphanumeric = [](WordClass kind) {
      return kind == WordClass::letter || kind == WordClass::digit;
    };
    if (right == WordClass::connector) return true;
    if (left == WordClass::connector) return alphanumeric(right) || right == WordClass::katakana;
    if (left == WordClass::katakana) return right == WordClass::katakana;
    return alphanumeric(left) && alphanumeric(right);
  }

  /// WB6-7, WB11-12: punctuation between two letters or two digits.
  bool bridges(WordClass left, const Place& mid) const {
    const bool letters =
        left == WordClass::letter && (mid.kind == WordClass::mid_letter || mid.kind == WordClass::mid_both);
    const bool digits =
        left == WordClass::digit && (mid.kind == WordClass::mid_digit || mid.kind == WordClass::mid_both);
    return (letters || digits) && look_past_extends(mid.next).kind == left;
  }

  size_t take_run(const Place& start) {
    WordClass last = start.kind;
    size_t at = start.next;
    for (;;) {
      const Place here = look(at);
      if (here.kind == WordClass::extend) {
        note(here);
      } else if (joins(last, here.kind)) {
        note(here);
        last = here.kind;
      } else if (bridges(last, here)) {
        note(here);
      } else {
        return at;
      }
      at = here.next;
      // After a bridge `last` is still the class on its left, which is also the class on its right.
    }
  }

  size_t take_symbols(const Place& start) {
    size_t at = take_extends(start.next);
    for (;;) {
      const Place here = look(at);
      if (here.value != start.value || here.at == here.next) return at;
      note(here);
      at = take_extends(here.next);
    }
  }

  std::string_view text_;
  std::vector<Token>& tokens_;
  Token token_{};
};

}  // namespace

void split_words(std::string_view text, std::vector<Token>& tokens) { Splitter(text, tokens).run(); }

std::vector<Token> split_words(std::string_view text) {
  std::vector<Token> tokens;
  tokens.reserve(text.size() / 5);
  split_words(text, tokens);
  return tokens;
}

}  // namespace gristmill::text

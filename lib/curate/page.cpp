#include "curate/page.hpp"

#include <bit>

#include "text/utf8.hpp"

namespace gristmill::curate {

void Page::replace_text(std::string text) {
  text_ = std::move(text);
  edited_ = true;
  split_ = false;
}

void Page::split() {
  if (split_) return;
  tokens_.clear();
  text::split_words(text_, tokens_);
  words_ = 0;
  for (const auto& token : tokens_) words_ += token.is_word ? 1 : 0;
  chars_ = text::count_code_points(text_);
  split_ = true;
}

const std::vector<text::Token>& Page::tokens() {
  split();
  return tokens_;
}

uint64_t Page::words() {
  split();
  return words_;
}

uint64_t Page::chars() {
  split();
  return chars_;
}

void CountTable::reset(size_t keys) {
  const size_t wanted = std::bit_ceil(keys * 2 + 16);
  // A table much larger than the page needs would miss the cache at every look-up.
  if (wanted > slots_.size() || wanted * 64 < slots_.size()) {
    slots_.assign(wanted, Slot{});
    epoch_ = 0;
  }
  mask_ = wanted - 1;
  if (++epoch_ == 0) {
    slots_.assign(slots_.size(), Slot{});
    epoch_ = 1;
  }
}

}  // namespace gristmill::curate

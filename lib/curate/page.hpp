#pragma once

// A text under judgement, with what several rules need of it (tokens, length) made once, and the scratch
// memory that a worker keeps from page to page.

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/words.hpp"

namespace gristmill::curate {

class Page {
 public:
  explicit Page(std::string text) : text_(std::move(text)) {}

  const std::string& text() const { return text_; }
  std::string take_text() { return std::move(text_); }
  /// A rule edited the text; what was made of the old one is forgotten.
  void replace_text(std::string text);
  bool edited() const { return edited_; }

  const std::vector<text::Token>& tokens();  ///< words and symbols
  uint64_t words();                          ///< tokens that are words
  uint64_t chars();                          ///< code points of the text

 private:
  void split();
  std::string text_;
  bool edited_ = false, split_ = false;
  std::vector<text::Token> tokens_;
  uint64_t words_ = 0;
  uint64_t chars_ = 0;
};

/// Counts of 64-bit keys: open addressing, emptied by a new epoch number, so that one table serves page after
/// page without being cleared.
class CountTable {
 public:
  struct Slot {
    uint64_t key = 0;
    uint32_t epoch = 0;
    uint32_t count = 0;
    uint32_t first = 0;  ///< for the caller: where the key was seen first
  };

  /// Empties the table and makes room for `keys` different keys.
  void reset(size_t keys);
  /// The slot of a key; count is 0 if it is new.
  Slot& slot(uint64_t key) {
    for (size_t i = static_cast<size_t>(key) & mask_;; i = (i + 1) & mask_) {
      Slot& found = slots_[i];
      if (found.epoch != epoch_) {
        found = Slot{key, epoch_, 0, 0};
        return found;
      }
      if (found.key == key) return found;
    }
  }

 private:
  std::vector<Slot> slots_;
  size_t mask_ = 0;
  uint32_t epoch_ = 0;
};

struct Scratch {
  CountTable table;
  std::vector<uint64_t> word_hashes, keys;
};

}  // namespace gristmill::curate

#pragma once

// The joining half of training: from distinct pieces with counts to a vocabulary.
//
// All pieces lie behind each other in one array of ids and shrink in place. Every adjacent pair has an exact
// count and the list of pieces it was seen in. A heap holds (count, pair) entries that may be out of date: an
// entry whose count is no longer true goes back with the true one (counts between two joins of a pair only
// fall, except where a push follows), so the top is always right. Joining a pair rewrites the pieces of its
// list once, left to right, without overlap (aaa → aa a).
//
// No two joins make the same bytes: where a string ends up as one token, no join ever crossed its ends, so
// its inside went through the same joins as everywhere else and became a token at the same moment.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "tokenizer/piece_counts.hpp"
#include "tokenizer/train.hpp"
#include "tokenizer/vocabulary.hpp"

namespace gristmill::tokenizer {

class BpeTrainer {
 public:
  BpeTrainer(const PieceCounts& pieces, const TrainOptions& options);
  /// Joins until the vocabulary is full or no pair is frequent enough. Error{usage} if a token is spelt like
  /// a special one.
  Vocabulary run();

 private:
  struct Piece {
    uint64_t start;
    uint32_t length;
    int64_t count;
  };
  struct Pair {
    uint32_t left = 0, right = 0;
    int64_t count = 0;
    uint64_t touched_in = 0;       // the join that last raised it
    std::vector<uint32_t> pieces;  // where it was seen; may be out of date
  };
  struct Entry {
    int64_t count;
    uint32_t left, right, pair;
  };
  void start_vocabulary();
  void index_pieces(const PieceCounts& pieces);
  uint32_t pair_index(uint32_t left, uint32_t right);
  void grow_pair_slots();
  void change(uint32_t left, uint32_t right, int64_t by, uint32_t piece);
  void join(uint32_t pair, uint32_t result);
  void rewrite(uint32_t piece, uint32_t left, uint32_t right, uint32_t result);
  bool comes_later(const Entry& a, const Entry& b) const;
  void push(uint32_t pair);
  Entry pop();
  void check_spellings() const;

  const TrainOptions& options_;
  Vocabulary vocabulary_;
  std::vector<uint32_t> symbols_;
  std::vector<Piece> pieces_;
  std::vector<Pair> pairs_;
  std::vector<uint32_t> pair_slots_;  // open addressing: index into pairs_, or kFree
  std::vector<uint32_t> touched_;     // pairs raised by the present join
  std::vector<Entry> heap_;
  uint64_t joins_ = 0;
};

}  // namespace gristmill::tokenizer

#pragma once

// Training of a byte-level BPE: count the distinct pieces, then join the most frequent adjacent pair again
// and again.
//
// Ids: special tokens first, in the order given, then the 256 bytes in the order of their spelling, then one
// token a merge. So a tokenizer of V entries is a prefix of a larger one from the same text. Counts are
// 64-bit sums and the order of equal counts is total, so the result does not depend on the number of threads
// or on the order of the documents.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/json.hpp"
#include "base/stats.hpp"
#include "shard/reader.hpp"
#include "tokenizer/tokenizer.hpp"

namespace gristmill::tokenizer {

/// Which of several pairs of equal count is joined first.
enum class Ties {
  hf,     ///< smaller (left id, right id): Hugging Face's trainer, given the same alphabet
  cs336,  ///< lexicographically greater (left bytes, right bytes): Stanford CS336's reference
};

struct TrainOptions {
  uint64_t vocab_size = 32000;  ///< with special tokens and the 256 bytes
  std::vector<std::string> special_tokens = {std::string(kEndOfText), std::string(kTurnStart),
                                             std::string(kTurnEnd), std::string(kPad)};
  Ties ties = Ties::hf;
  uint64_t min_frequency = 2;  ///< a pair seen less often is not joined
  bool split_lines =
      false;  ///< cut documents behind every newline before the pattern, as Hugging Face's file trainer does
  /// A longer piece counts as several: bounds the cost of joining in text without white space.
  uint64_t max_piece_bytes = 4096;
  int threads = 1;

  /// Error{usage} for values that cannot be met.
  void check() const;
};

struct Trained {
  std::string json;  ///< tokenizer.json
  Stats stats;       ///< records: documents
  uint64_t vocab_size = 0;
  uint64_t distinct_pieces = 0;
};

/// Trains on documents. Records that are none are counted as "bad_record". Memory grows with the number of
/// distinct pieces (about 200 MB for 100 MB of English). A special token spelt in the text separates what it
/// stands between and is not counted.
Trained train(shard::Reader& documents, const TrainOptions& options);
/// The same on texts from a function (nothing at the end), called from one thread at a time.
Trained train(const std::function<std::optional<std::string>()>& next_text, const TrainOptions& options);

}  // namespace gristmill::tokenizer

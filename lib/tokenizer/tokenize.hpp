#pragma once

// The stage between text and token shards, both ways. Every document is encoded whole and as ordinary text: a
// literal special token in a crawl is plain bytes, and the only end-of-text ids in a shard are those that
// begin its documents.

#include <cstdint>
#include <string>
#include <vector>

#include "base/stats.hpp"
#include "tokenizer/tokenizer.hpp"

namespace gristmill::tokenizer {

struct TokenizeOptions {
  bool text = false;  ///< each input (or, decoding, the output) is plain text, not records
  bool ids = false;   ///< ids as text: one line of space-separated ids a document, without the end-of-text id
  int threads = 1;    ///< the output does not depend on it
  uint64_t seed = 1;  ///< for the header only: nothing here is random
};

/// Documents to a token shard (or lines of ids). A record that is no document is counted as "bad_record".
/// Memory: a few megabytes a thread, or about six times the largest document.
Stats tokenize(const std::vector<std::string>& inputs, const std::string& output, const Tokenizer& tokenizer,
               const TokenizeOptions& options);

/// The inverse: token shards made with this tokenizer (or lines of ids) to documents with the ids "0", "1",
/// …, or with options.text to the bare text behind each other. In documents, bytes that are no UTF-8 become
/// U+FFFD. A line that holds something else than ids of the vocabulary is counted as "bad_record".
Stats detokenize(const std::vector<std::string>& inputs, const std::string& output,
                 const Tokenizer& tokenizer, const TokenizeOptions& options);

}  // namespace gristmill::tokenizer

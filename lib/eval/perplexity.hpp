#pragma once

// Perplexity of documents. A document longer than the model's context is scored in windows, every token
// exactly once: window 1 predicts the first min(L, N) tokens; each later one predicts the next `stride`
// tokens (fewer at the end) from a window that is full, so that a smaller stride gives later tokens more
// context. Token perplexity is e^(nll / tokens), bits per byte nll / (ln 2 · bytes of the original UTF-8),
// byte perplexity 2^bpb, word perplexity e^(nll / words), where words are the pieces between runs of white
// space. A corpus is the ratio of sums, not the mean of its documents.

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.hpp"
#include "base/stats.hpp"
#include "decode/scoring.hpp"
#include "decode/session.hpp"
#include "shard/reader.hpp"

namespace gristmill::eval {

struct PerplexityOptions {
  int64_t context = 0;  ///< tokens a window reads; 0 = the model's
  int64_t stride = 0;   ///< tokens a later window predicts; 0 = context (windows without overlap)
  bool ids = false;     ///< records {"ids": […]}, whose first id is given, in place of documents behind an
                        ///< end-of-text id
  int64_t batch_tokens = 4096;
};

/// What a record or all of them sum to.
struct Likelihood {
  double nll = 0;  ///< nats
  uint64_t tokens = 0, bytes = 0, words = 0;

  void add(const Likelihood& other);
  /// Report with perplexities; bytes and words are null where there is no text, and so is what needs them.
  Json to_json() const;
};

/// Windows of a sequence whose first id is given: every later id is scored exactly once, in order. `context`
/// and `stride` positive, stride ≤ context.
std::vector<decode::ScoreRequest> windows(const std::vector<uint32_t>& ids, int64_t context, int64_t stride);

/// Pieces of `text` between runs of white space (Unicode's, as Python's re.split(r"\s+") counts them: the
/// empty text is one).
uint64_t count_words(std::string_view text);

/// Scores all records. `on_record` is called for each in the order of the input with its id (may be empty).
/// Documents with no tokens are dropped under "empty". Error{input} where the model gives no number, and when
/// nothing is left to score.
Likelihood perplexity(decode::Session& session, shard::Reader& reader, const PerplexityOptions& options,
                      Stats& stats,
                      const std::function<void(const std::string&, const Likelihood&)>& on_record = {});

}  // namespace gristmill::eval

#pragma once

// Records of conversations, preferences and prompts as token sequences. Nothing is cropped: what does not fit
// the model's context is counted under "too_long" and left out, since a cut answer teaches a model not to
// stop.

#include <cstdint>
#include <string>
#include <vector>

#include "align/response_batch.hpp"
#include "base/stats.hpp"
#include "shard/record.hpp"
#include "tokenizer/chat_template.hpp"

namespace gristmill::align {

/// A preference: both sequences share the prompt; only the replies are masked as targets.
struct PairExample {
  Sequence chosen, rejected;
  double margin = 0;
  int64_t tokens() const { return static_cast<int64_t>(chosen.ids.size() + rejected.ids.size()); }
};

/// A prompt ready to be continued, with the messages it came from.
struct PromptExample {
  std::vector<uint32_t> ids;
  std::vector<shard::Message> messages;
};

/// Reads all records of the files. `stats` counts them and the reasons of those left out: bad_record,
/// too_long, no_response. No usable record at all is Error{input}.
std::vector<Sequence> load_conversations(const std::vector<std::string>& files,
                                         const tokenizer::ChatTemplate& chat, int64_t max_tokens,
                                         Stats& stats);
std::vector<PairExample> load_preferences(const std::vector<std::string>& files,
                                          const tokenizer::ChatTemplate& chat, int64_t max_tokens,
                                          Stats& stats);
/// Prompts: {"prompt": text or messages}, or the messages of a conversation in front of its last assistant
/// turn. `max_tokens` must leave room for the response.
std::vector<PromptExample> load_prompts(const std::vector<std::string>& files,
                                        const tokenizer::ChatTemplate& chat, int64_t max_tokens,
                                        Stats& stats);

/// Names examples by their content and order: a run is resumed with the examples it was begun with.
std::string digest(const std::vector<Sequence>& examples);
std::string digest(const std::vector<PairExample>& examples);
std::string digest(const std::vector<PromptExample>& examples);

/// Which items optimizer step `step` takes: every epoch is a fresh permutation by (seed, epoch).
class EpochSampler {
 public:
  /// Error{usage} for a batch or epochs below 1 or above 2^30, Error{input} for no items.
  EpochSampler(size_t items, int64_t batch, int64_t epochs, uint64_t seed);
  int64_t total_steps() const { return steps_per_epoch_ * epochs_; }
  int64_t steps_per_epoch() const { return steps_per_epoch_; }
  /// Epochs are cut into batches; the last of an epoch may be smaller.
  std::vector<size_t> items(int64_t step);
  /// Epochs follow each other without a seam: always a whole batch, with repetitions if there are fewer
  /// items.
  std::vector<size_t> whole_batch(int64_t step);

 private:
  void permute(int64_t epoch);

  size_t count_;
  int64_t batch_, epochs_, steps_per_epoch_;
  uint64_t seed_;
  int64_t permuted_epoch_ = -1;
  std::vector<size_t> permutation_;
};

}  // namespace gristmill::align

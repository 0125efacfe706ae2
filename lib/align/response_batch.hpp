#pragma once

// Sequences whose responses are learned or scored, packed for one pass of a model, and the two passes over
// them: log-probabilities of the masked targets (language head) and values in front of them or at the end
// (scalar head).

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "model/transformer.hpp"
#include "runtime/arena.hpp"
#include "runtime/device.hpp"

namespace gristmill::align {

/// ids with the mask of what is learned: mask[t] = 1 iff ids[t] is a target (tokenizer/chat_template.hpp).
/// mask[0] is 0.
struct Sequence {
  std::vector<uint32_t> ids;
  std::vector<uint8_t> mask;

  int64_t targets() const;
};

/// A packed batch of sequences. Target number i of the batch is predicted from hidden row rows[i].
struct ResponseBatch {
  model::Batch tokens;
  std::vector<int32_t> rows;       ///< in the order of sequences, then of positions
  std::vector<int32_t> targets;    ///< the ids to predict
  std::vector<size_t> starts;      ///< first target of each sequence; one more entry at the end
  std::vector<int32_t> last_rows;  ///< row of each sequence's last target itself: where its reward is read

  void add(const Sequence& sequence);
  size_t sequences() const { return last_rows.size(); }
};

/// Consecutive runs of [0, sizes.size()) whose sums stay within `limit`; a single larger item stands alone.
std::vector<std::pair<size_t, size_t>> split_by_size(std::span<const int64_t> sizes, int64_t limit);
/// No run of any `batch` of these sizes has a larger sum; 0 for no sizes.
int64_t most_tokens(std::vector<int64_t> sizes, int64_t batch, int64_t limit);

/// The most that a pass will see: rows are those whose targets are predicted or whose value is read.
struct PassRows {
  int64_t tokens = 0, rows = 0;
  bool learns = true;  ///< a backward() will follow
};

/// Language-model passes over response batches.
class LanguagePass {
 public:
  explicit LanguagePass(model::Transformer& model);
  /// Bytes of the pass's own memory, and its allocation in one piece; without it memory grows on demand.
  static int64_t bytes(const model::Config& config, const PassRows& most, runtime::DType real);
  void reserve(const PassRows& most);

  /// log p of each target under softmax(logit_scale · logits). With `keep` a backward() may follow.
  std::vector<double> log_probs(const ResponseBatch& batch, double logit_scale = 1, bool keep = false);
  /// Entropies of the same distributions, from the last log_probs().
  std::vector<double> entropies();
  /// Adds the gradient of Σ d_log_prob[i] · log p_i for the batch last given to log_probs(keep = true).
  void backward(std::span<const double> d_log_prob);
  /// Both at once, for losses whose gradient is known beforehand (SFT): one product of the head less. Returns
  /// the log-probabilities.
  std::vector<double> log_probs_and_backward(const ResponseBatch& batch, std::span<const double> d_log_prob);

 private:
  static runtime::ArenaParts parts(LanguagePass* place, const model::Config& config, const PassRows& most,
                                   runtime::DType real);
  void gather(const ResponseBatch& batch, bool keep);

  model::Transformer* model_;
  runtime::Scratch rows_, targets_, hidden_, values_, d_values_, d_rows_, d_hidden_;
  runtime::Buffer arena_;
  runtime::View row_view_, target_view_, hidden_view_;
  int64_t tokens_ = 0, count_ = 0;
  double logit_scale_ = 1;
};

/// Scalar-head passes: a value for each of a list of rows.
class ScalarPass {
 public:
  explicit ScalarPass(model::Transformer& model);
  static int64_t bytes(const model::Config& config, const PassRows& most, runtime::DType real);
  void reserve(const PassRows& most);

  /// The scalar head at hidden rows `rows` of the packed batch.
  std::vector<double> values(const model::Batch& tokens, const std::vector<int32_t>& rows, bool keep = false);
  /// Adds the gradient of Σ d_value[i] · value_i.
  void backward(std::span<const double> d_value);

 private:
  static runtime::ArenaParts parts(ScalarPass* place, const model::Config& config, const PassRows& most,
                                   runtime::DType real);

  model::Transformer* model_;
  runtime::Scratch rows_, hidden_, values_, d_values_, d_rows_, d_hidden_;
  runtime::Buffer arena_;
  runtime::View row_view_, hidden_view_;
  int64_t tokens_ = 0;
};

}  // namespace gristmill::align

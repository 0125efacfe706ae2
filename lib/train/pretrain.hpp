#pragma once

// Next-token prediction on token shards: what `pretrain` trains.
//
// The ids are cut into windows of `context` tokens (and the one behind them as the last target); each epoch
// takes all windows in an order of its own. Within a window attention and positions start anew at every
// document. Each document begins with the end-of-text id, and the target of a document's last token is the
// next one's end-of-text: the model learns when to end, and every token but the first is a target exactly
// once an epoch. Ids behind the last whole window are not trained on.

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "model/transformer.hpp"
#include "runtime/device.hpp"
#include "shard/tokens.hpp"
#include "train/objective.hpp"

namespace gristmill::train {

struct PretrainOptions {
  int64_t tokens = 0;                 ///< budget, rounded up to whole steps; 0 = one epoch
  int64_t batch_tokens = 16384;       ///< tokens a step, rounded down to whole windows, at least one
  int64_t micro_batch_tokens = 4096;  ///< tokens that are in memory at once
  uint64_t seed = 1;                  ///< of the order of the windows
};

/// Windows of a token set: input ids, and the same moved by one as targets.
class WindowSet {
 public:
  /// `keep_rest` adds a shorter last window (held-out data); a set shorter than one window always is one.
  /// Fewer than two ids are Error{input}.
  WindowSet(const shard::TokenSet& tokens, int64_t context, bool keep_rest);
  int64_t size() const { return count_; }
  int64_t window_tokens(int64_t index) const;
  /// Appends a window to a batch, cut into its documents, and its targets.
  void append(int64_t index, model::Batch& batch, std::vector<int32_t>& targets) const;

 private:
  const shard::TokenSet& tokens_;
  int64_t context_, count_;
};

/// The order of `count` windows in an epoch: a function of (seed, epoch) alone.
std::vector<int64_t> window_order(int64_t count, uint64_t seed, int64_t epoch);

class PretrainObjective : public Objective {
 public:
  /// Both token sets must fit the model's vocabulary (Error{input}).
  PretrainObjective(model::Transformer& model, shard::TokenSet tokens,
                    std::optional<shard::TokenSet> held_out, const PretrainOptions& options);

  std::vector<Trainee> trainees() override { return {{"model", &model_}}; }
  int64_t total_steps() const override;
  void accumulate(int64_t step, StepMetrics& metrics) override;
  /// "val_loss" (nats a token) and "val_perplexity" over all held-out tokens.
  std::map<std::string, double> validate() override;
  /// The digest of the tokens: resuming on other data is Error{usage}.
  Json save_state() const override;
  void load_state(const Json& state) override;

 private:
  int64_t windows_per_step() const;
  int64_t windows_per_micro_batch() const;
  int64_t window_at(int64_t position);
  double train_micro_batch(const model::Batch& batch, std::span<const int32_t> targets, int64_t step_tokens);
  double score_micro_batch(const model::Batch& batch, std::span<const int32_t> targets);
  double sum_of(runtime::ConstView log_probs);

  model::Transformer& model_;
  PretrainOptions options_;
  shard::TokenSet tokens_;
  std::optional<shard::TokenSet> held_out_;
  WindowSet windows_;
  std::vector<int64_t> order_;  ///< of epoch_
  int64_t epoch_ = -1;
  runtime::Scratch targets_, upstream_, log_probs_, dhidden_;
};

}  // namespace gristmill::train

#pragma once

// Next-token prediction on token shards: what `pretrain` trains.
//
// The ids are cut into windows of `context` tokens (and the one behind them as the last target); each epoch
// takes all windows in an order of its own. Within a window attention and positions start anew at every
// document. Each document begins with the end-of-text id, and the target of a document's last token is the
// next one's end-of-text: the model learns when to end, and every token but the first is a target exactly
// once an epoch. Ids behind the last whole window are not trained on.
//
// The loss is the mean cross-entropy. With z-loss (Chowdhery et al. 2022, §5) coef · lse², the mean over the
// tokens, is added to what is minimised (not to the loss that is reported): it keeps the logits from
// drifting. Its gradient needs lse before the backward pass, so it costs the head's product once more.
//
// A mixture of experts adds its load-balance loss times Config::router_balance, and router_z_loss times the
// z-loss of its routers (model/router.hpp): of each micro-batch by itself, weighted by its share of the
// step's tokens. Neither is in the loss that is reported.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "model/transformer.hpp"
#include "runtime/arena.hpp"
#include "runtime/device.hpp"
#include "shard/tokens.hpp"
#include "train/objective.hpp"
#include "train/step_plan.hpp"

namespace gristmill::train {

struct PretrainOptions {
  int64_t tokens = 0;                 ///< budget, rounded up to whole steps; 0 = one epoch
  int64_t batch_tokens = 16384;       ///< tokens a step, rounded down to whole windows, at least one
  int64_t micro_batch_tokens = 4096;  ///< tokens that are in memory at once
  double ramp_start = 1;              ///< first step's share of batch_tokens …
  double ramp_share = 0;       ///< … and the share of the budget in which it grows to all of it; 0 = off
  double z_loss = 0;           ///< coefficient; 0 = off
  double router_z_loss = 0;    ///< with experts: coefficient; 0 = off
  double anneal_share = 0.1;   ///< with annealing data: the last share of the steps, which they join …
  double anneal_weight = 0.5;  ///< … and their share of the windows there
  uint64_t seed = 1;           ///< of the order of the windows
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

/// The windows of a token set in the order of one epoch after the other.
class WindowStream {
 public:
  WindowStream(shard::TokenSet tokens, int64_t context, uint64_t seed);
  WindowStream(const WindowStream&) = delete;
  WindowStream& operator=(const WindowStream&) = delete;
  const shard::TokenSet& tokens() const { return tokens_; }
  const WindowSet& windows() const { return windows_; }
  /// The window at a position of the run; an epoch's order is made when it is entered.
  int64_t at(int64_t position);

 private:
  shard::TokenSet tokens_;
  WindowSet windows_;
  uint64_t seed_;
  std::vector<int64_t> order_;  ///< of epoch_
  int64_t epoch_ = -1;
};

/// The most tokens of a micro-batch, and of one in validation, for so many ids of training, annealing and
/// held-out data (0 = there are none).
model::PassExtent pretrain_extent(const PretrainOptions& options, int64_t context, int64_t ids,
                                  int64_t anneal_ids, int64_t held_out_ids);

class PretrainObjective : public Objective {
 public:
  /// Bytes that reserve() allocates beside the model's own.
  static int64_t bytes(const model::Config& config, const model::PassExtent& extent, runtime::DType real,
                       const PretrainOptions& options);

  /// All token sets must fit the model's vocabulary (Error{input}). `ranks` (null = one) share the
  /// micro-batches.
  PretrainObjective(model::Transformer& model, shard::TokenSet tokens,
                    std::optional<shard::TokenSet> held_out, const PretrainOptions& options,
                    std::optional<shard::TokenSet> anneal = std::nullopt, Ranks* ranks = nullptr);

  std::vector<Trainee> trainees() override { return {{"model", &model_, ranks_}}; }
  int64_t total_steps() const override { return plan_->steps(); }
  void reserve() override;
  void accumulate(int64_t step, StepMetrics& metrics) override;
  /// "val_loss" (nats a token) and "val_perplexity" over all held-out tokens.
  std::map<std::string, double> validate() override;
  /// The digest of the tokens: resuming on other data is Error{usage}.
  Json save_state() const override;
  void load_state(const Json& state) override;
  /// With the digest of the held-out tokens, which a resumed run may change.
  Json shared_facts() const override;

 private:
  /// Windows of a step, as where each stands.
  struct Chosen {
    const WindowSet* windows;
    int64_t index;
  };
  static runtime::ArenaParts parts(PretrainObjective* place, const model::Config& config,
                                   const model::PassExtent& extent, runtime::DType real,
                                   const PretrainOptions& options);
  StepPlanOptions plan_options() const;
  int64_t windows_in(int64_t tokens) const;
  std::vector<Chosen> choose(int64_t step);
  /// The sums of the targets' log-probabilities, of their squared logsumexps (0 without z-loss) and, with
  /// experts, expert_sums().
  std::vector<double> train_micro_batch(const model::Batch& batch, std::span<const int32_t> targets,
                                        int64_t step_tokens);
  double sum_of_squares(runtime::ConstView values);
  double score_micro_batch(const model::Batch& batch, std::span<const int32_t> targets);
  double sum_of(runtime::ConstView log_probs);

  model::Transformer& model_;
  Ranks* ranks_;
  PretrainOptions options_;
  std::optional<shard::TokenSet> held_out_;
  WindowStream main_;
  std::unique_ptr<WindowStream> anneal_;  ///< null without annealing data
  std::unique_ptr<StepPlan> plan_;
  runtime::Scratch targets_, upstream_, log_probs_, lse_, dlse_, dhidden_;
  runtime::Buffer sum_, arena_;
};

}  // namespace gristmill::train

#pragma once

// What the tool `pretrain` does: token shards and a model's shape, or a model to go on from, to a run
// directory.

#include <cstdint>
#include <string>
#include <vector>

#include "base/cli.hpp"
#include "base/json.hpp"
#include "model/config.hpp"
#include "runtime/device.hpp"
#include "shard/tokens.hpp"
#include "train/pretrain.hpp"
#include "train/trainer.hpp"

namespace gristmill::train {

/// A Llama's shape by numbers.
struct ShapeOptions {
  int64_t layers = 6, dim = 256, heads = 8;
  int64_t kv_heads = 0;    ///< 0 = heads
  int64_t hidden_dim = 0;  ///< 0 = 8/3 · dim, rounded up to a multiple of 32 (Touvron et al. 2023)
  int64_t context = 256;
  bool untied = false;                         ///< a head with weights of its own
  bool qk_norm = false;                        ///< see model::Config
  bool zero_init = false;                      ///< see model::Config
  int64_t mup_base_dim = 0;                    ///< see model::Config
  int64_t experts = 0, experts_per_token = 2;  ///< see model::Config
};

struct PretrainRunOptions {
  std::vector<std::string> inputs;       ///< token shards
  std::string held_out;                  ///< token shard; empty = no validation
  std::vector<std::string> anneal_data;  ///< token shards that join in the last steps; empty = no annealing
  std::string tokenizer;                 ///< tokenizer.json; empty = that of `init`, if any
  std::string model_config;              ///< config.json in place of `shape`
  std::string init;                      ///< model directory to start from, in place of `shape`
  ShapeOptions shape;
  bool shape_given = false;     ///< any of `shape` but the context was asked for: Error{usage} beside
                                ///< model_config or init
  bool context_given = false;   ///< with init: its context becomes that of `shape`
  double rope_theta = 0;        ///< base of the rotary embedding; 0 = as the model has it
  double aux_loss_weight = -1;  ///< Config::router_balance; -1 = as the model has it
  bool experts_per_token_given = false;  ///< Error{usage} without experts
  std::string batch_ramp;                ///< "A:B", see PretrainOptions; empty = off
  bool anneal_given = false;  ///< an option of the annealing was given: Error{usage} without anneal_data
  PretrainOptions pretrain;
  TrainOptions train;
  RanksOptions ranks;
  std::string rendezvous;        ///< see runtime::CollectiveOptions
  int rendezvous_seconds = 300;  ///< likewise
  std::string device = "auto";
  int threads = 1;

  /// The options that the run's result depends on, under the names of the flags.
  Json record() const;
};

/// Binds all flags of the tool but those that all tools share.
void add_pretrain_flags(cli::Tool& tool, PretrainRunOptions& options);
/// Takes over the shared flags, and notes which were given.
void read_common_flags(const cli::Tool& tool, PretrainRunOptions& options);

/// The model's configuration for a vocabulary: by shape, of a config.json, or of the model to start from.
model::Config pretrain_config(const PretrainRunOptions& options, const shard::TokenShardInfo& tokens);

void pretrain(const PretrainRunOptions& options);

}  // namespace gristmill::train

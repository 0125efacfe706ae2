#pragma once

// What the tool `pretrain` does: token shards and a model's shape, or a model to go on from, to a run
// directory.

#include <cstdint>
#include <string>
#include <vector>

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
  bool untied = false;  ///< a head with weights of its own
};

struct PretrainRunOptions {
  std::vector<std::string> inputs;  ///< token shards
  std::string held_out;             ///< token shard; empty = no validation
  std::string tokenizer;            ///< tokenizer.json; empty = that of `init`, if any
  std::string model_config;         ///< config.json in place of `shape`
  std::string init;                 ///< model directory to start from, in place of `shape`
  ShapeOptions shape;
  bool shape_given = false;  ///< any of `shape` was asked for: Error{usage} beside model_config or init
  PretrainOptions pretrain;
  TrainOptions train;
  std::string device = "auto";
  int threads = 1;

  /// The options that the run's result depends on, under the names of the flags.
  Json record() const;
};

/// The shape for a vocabulary: config.json where one is given.
model::Config pretrain_config(const PretrainRunOptions& options, const shard::TokenShardInfo& tokens);

void pretrain(const PretrainRunOptions& options);

}  // namespace gristmill::train

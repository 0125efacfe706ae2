#pragma once

// A tiny run: made-up tokens with structure to learn, a small Llama, options for a few steps.

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/file.hpp"
#include "base/json.hpp"
#include "base/log.hpp"
#include "base/rng.hpp"
#include "model/transformer.hpp"
#include "runtime/device.hpp"
#include "shard/tokens.hpp"
#include "train/metrics.hpp"
#include "train/pretrain.hpp"
#include "train/trainer.hpp"

namespace gristmill::test {

/// The trainer's messages are no part of a test's output.
inline const bool kQuiet = [] {
  log::set_level(log::Level::quiet);
  return true;
}();

/// Documents that count up from a random id; each begins with id 0.
inline shard::TokenSet counting_tokens(size_t documents, uint64_t seed, uint64_t vocab = 29) {
  shard::TokenSet set;
  set.info.vocab_size = vocab;
  Rng rng(seed, stream_of(RandomStream::test));
  for (size_t d = 0; d < documents; ++d) {
    set.document_starts.push_back(set.ids.size());
    set.ids.push_back(0);
    uint64_t id = rng.below(vocab - 1);
    const uint64_t length = 3 + rng.below(12);
    for (uint64_t i = 0; i < length; ++i) set.ids.push_back(static_cast<uint32_t>(1 + (id++ % (vocab - 1))));
  }
  set.digest = str("counting ", documents, " ", seed);
  return set;
}

inline model::Config tiny_config(bool tied = true) {
  model::Config config;
  config.vocab_size = 29;
  config.dim = 16;
  config.layers = 2;
  config.heads = 2;
  config.kv_heads = 1;
  config.head_dim = 8;
  config.hidden_dim = 32;
  config.context = 16;
  config.tied = tied;
  return config;
}

inline train::PretrainOptions tiny_pretrain() {
  train::PretrainOptions options;
  options.tokens = 12 * 64;
  options.batch_tokens = 64;
  options.micro_batch_tokens = 32;
  return options;
}

inline train::TrainOptions tiny_train(const std::string& run_dir) {
  train::TrainOptions options;
  options.run_dir = run_dir;
  options.learning_rate = 1e-2;
  options.checkpoint_every = 4;
  options.validate_every = 3;
  return options;
}

inline Json tiny_record(const train::TrainOptions& options) {
  Json record = Json::object();
  record["lr"] = options.learning_rate;
  record["seed"] = uint64_t{1};
  return record;
}

/// Runs the tiny pre-training on a device, from the start or as the options say.
inline void run_tiny(runtime::Device& device, const train::TrainOptions& options,
                     const train::PretrainOptions& pretrain = tiny_pretrain()) {
  model::Transformer model(device, tiny_config(), options.weights);
  model::initialize(model.parameters(), options.seed);
  train::PretrainObjective objective(model, counting_tokens(60, 1), counting_tokens(10, 2), pretrain);
  train::run(objective, options, tiny_record(options), "");
}

/// metrics.jsonl without what the clock and the machine decide.
inline std::string steady_metrics(const std::string& run_dir) {
  std::string out;
  for (Json line : train::read_metrics(run_dir)) {
    for (const char* key : {"tokens_per_s", "mfu", "memory"}) line.erase(key);
    out += line.dump() + "\n";
  }
  return out;
}

/// Everything of a checkpoint that must be equal byte for byte.
inline std::string checkpoint_bytes(const std::string& run_dir, int64_t step) {
  const auto folder = std::filesystem::path(run_dir) / "checkpoints" / str("step-", step);
  std::string bytes;
  for (const char* name : {"model.safetensors", "optimizer.safetensors", "trainer.json", "config.json"}) {
    bytes += read_file((folder / name).string());
  }
  return bytes;
}

}  // namespace gristmill::test

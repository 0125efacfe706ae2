#pragma once

// A language model of a few thousand random weights, and its files, for tests that need some model but no
// particular one.
#include <filesystem>
#include <memory>
#include <string>

#include "model/model_directory.hpp"
#include "model/transformer.hpp"
#include "runtime/device.hpp"
#include "support/data.hpp"

namespace gristmill::test {

inline model::Config tiny_config(int64_t vocab_size, int64_t context = 64,
                                 model::Head head = model::Head::language) {
  model::Config config;
  config.head = head;
  config.vocab_size = vocab_size;
  config.dim = 32;
  config.layers = 2;
  config.heads = 4;
  config.kv_heads = 2;
  config.head_dim = 8;
  config.hidden_dim = 48;
  config.context = context;
  config.tied = false;
  return config;
}

/// Random weights, spread far enough that the model has opinions.
inline model::Transformer tiny_model(runtime::Device& device, const model::Config& config,
                                     uint64_t seed = 1) {
  model::Transformer model(device, config);
  model::initialize(model.parameters(), seed);
  for (size_t i = 0; i < model.parameters().size(); ++i) {
    const auto& info = model.parameters().table()[i];
    if (!info.decay) continue;
    const auto view = model.parameters().view(i);
    auto values = runtime::read_float(device, view);
    for (float& value : values) value *= 6;
    runtime::write_real(device, view, std::span<const float>(values));
  }
  return model;
}

/// Writes a model directory with the project's small test tokenizer (or another file's).
inline void write_tiny_model(runtime::Device& device, const std::filesystem::path& folder,
                             const model::Config& config, uint64_t seed = 1,
                             const std::string& tokenizer = "") {
  std::filesystem::create_directories(folder);
  model::save_model(tiny_model(device, config, seed), folder.string());
  const auto file = tokenizer.empty() ? testdata("tokenizer/small.json") : std::filesystem::path(tokenizer);
  std::filesystem::copy_file(file, folder / "tokenizer.json",
                             std::filesystem::copy_options::overwrite_existing);
}

}  // namespace gristmill::test

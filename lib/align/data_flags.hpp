#pragma once

// The flags that sft, reward-train and dpo share: what to start from, what to learn from, how much of it a
// step takes.

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "align/examples.hpp"
#include "base/cli.hpp"
#include "base/json.hpp"
#include "base/stats.hpp"
#include "tokenizer/chat_template.hpp"

namespace gristmill::align {

struct DataFlags {
  std::string model;  ///< model or run directory to start from
  std::vector<std::string> data, validation;
};

/// Adds --model, --data, --val, --epochs, --batch-size and --micro-batch-tokens, bound to `files` and to the
/// fields that the objectives' option structs have in common. `records` says what --data holds, `unit` what a
/// batch counts.
template <class Options>
void add_data_flags(cli::Tool& tool, DataFlags& files, Options& options, const std::string& records,
                    const std::string& unit) {
  tool.group("Data");
  tool.option("--model", files.model, "model directory or run directory to start from");
  tool.required();
  tool.option("--data", files.data, records);
  tool.required();
  tool.option("--val", files.validation, "held-out records of the same kind");
  tool.option("--epochs", options.epochs, "passes over the data");
  tool.option("--batch-size", options.batch_size, unit + " an optimizer step");
  tool.option("--micro-batch-tokens", options.micro_batch_tokens,
              "packed tokens of one forward and backward");
}

/// The records of --data and of --val, which is empty where no file is named, as `load` (load_conversations
/// or load_preferences) reads them. `stats` counts those of --data.
template <class Example>
std::pair<std::vector<Example>, std::vector<Example>> load_data(
    const DataFlags& files, const tokenizer::ChatTemplate& chat, int64_t max_tokens, Stats& stats,
    std::vector<Example> (*load)(const std::vector<std::string>&, const tokenizer::ChatTemplate&, int64_t,
                                 Stats&)) {
  Stats held_out;
  auto examples = load(files.data, chat, max_tokens, stats);
  if (files.validation.empty()) return {std::move(examples), {}};
  return {std::move(examples), load(files.validation, chat, max_tokens, held_out)};
}

/// Writes them to a run's record, with the number of examples and the digest of their content.
template <class Options, class Examples>
void put_data(const Options& options, const Examples& examples, const std::string& model, Json& record) {
  record["epochs"] = options.epochs;
  record["batch-size"] = options.batch_size;
  record["micro-batch-tokens"] = options.micro_batch_tokens;
  record["about"]["examples"] = static_cast<uint64_t>(examples.size());
  record["about"]["data_digest"] = digest(examples);
  record["model"] = model;
}

}  // namespace gristmill::align

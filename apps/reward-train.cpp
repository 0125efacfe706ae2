// reward-train: a reward model from preferences.

#include <optional>
#include <utility>

#include "align/data_flags.hpp"
#include "align/reward.hpp"
#include "align/tuning_memory.hpp"
#include "base/cli.hpp"
#include "decode/session.hpp"
#include "model/model_directory.hpp"
#include "train/flags.hpp"

using namespace gristmill;

int main(int argc, char** argv) {
  align::DataFlags files;
  align::RewardTrainOptions options;
  train::TrainOptions loop;
  loop.learning_rate = 3e-4;
  loop.weight_decay = 0;

  cli::Tool tool("reward-train",
                 "Trains a reward model on preferences: a scalar head on a language model's body.");
  tool.threads().seed().device().stats();
  align::add_data_flags(tool, files, options, "preferences (JSON Lines: prompt, chosen, rejected)", "pairs");
  tool.option("--centering", options.centering, "weight of the squared sum of a pair's rewards");
  train::add_train_flags(tool, loop);
  tool.example(
      "reward-train --model out/sft --data pairs.jsonl.zst --val held.jsonl.zst --run-dir out/reward");

  return tool.run(argc, argv, [&] {
    train::read_train_flags(tool, loop);
    train::check_start(loop);
    options.seed = loop.seed;
    const auto device = runtime::open_device(tool.common().device, tool.common().threads, loop.compute);
    const auto start = decode::open_model_files(files.model, decode::WithTokenizer::yes, "", std::nullopt);
    auto config = start.config;
    config.head = model::Head::scalar;
    const tokenizer::ChatTemplate chat(*start.tokenizer);
    Stats stats;
    auto [pairs, held] = align::load_data(files, chat, config.context, stats, align::load_preferences);
    const auto extent = align::tuning_extent(pairs, held, options);
    train::report_memory(align::plan_tuning(config, extent, loop),
                         train::memory_limit(*device, loop.memory_limit));
    const auto reward = model::load_model(*device, start.path, model::Head::scalar, loop.seed, loop.weights);

    Json record = train::to_json(loop);
    record["about"]["tool"] = "reward-train";
    align::put_data(options, pairs, start.path, record);
    record["centering"] = options.centering;
    align::RewardObjective objective(*reward, std::move(pairs), std::move(held), options);
    train::run(objective, loop, record, start.path);
    tool.report(stats);
  });
}

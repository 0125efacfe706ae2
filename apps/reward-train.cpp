// reward-train: a reward model from preferences.

#include "align/reward.hpp"
#include "base/cli.hpp"
#include "decode/session.hpp"
#include "model/model_directory.hpp"
#include "train/flags.hpp"

using namespace gristmill;

int main(int argc, char** argv) {
  std::string model;
  std::vector<std::string> data, validation;
  align::RewardTrainOptions options;
  train::TrainOptions loop;
  loop.learning_rate = 3e-4;
  loop.weight_decay = 0;

  cli::Tool tool("reward-train",
                 "Trains a reward model on preferences: a scalar head on a language model's body.");
  tool.threads().seed().device().stats();
  tool.group("Data");
  tool.option("--model", model, "model directory or run directory whose body to start from");
  tool.required();
  tool.option("--data", data, "preferences (JSON Lines: prompt, chosen, rejected)");
  tool.required();
  tool.option("--val", validation, "held-out preferences for val_accuracy");
  tool.option("--epochs", options.epochs, "passes over the data");
  tool.option("--batch-size", options.batch_size, "pairs an optimizer step");
  tool.option("--micro-batch-tokens", options.micro_batch_tokens,
              "packed tokens of one forward and backward");
  tool.option("--centering", options.centering, "weight of the squared sum of a pair's rewards");
  train::add_train_flags(tool, loop);
  tool.example(
      "reward-train --model out/sft --data pairs.jsonl.zst --val held.jsonl.zst --run-dir out/reward");

  return tool.run(argc, argv, [&] {
    options.seed = loop.seed = tool.common().seed;
    const auto device = runtime::open_device(tool.common().device, tool.common().threads);
    const std::string directory = model::resolve_model_directory(model);
    const tokenizer::ChatTemplate chat(tokenizer::Tokenizer::load(directory));
    const auto reward = model::load_model(*device, directory, model::Head::scalar, tool.common().seed);
    Stats stats, held_out;
    auto pairs = align::load_preferences(data, chat, reward->config().context, stats);
    std::vector<align::PairExample> held;
    if (!validation.empty())
      held = align::load_preferences(validation, chat, reward->config().context, held_out);

    Json record = train::to_json(loop);
    record["about"]["tool"] = "reward-train";
    record["epochs"] = options.epochs;
    record["batch-size"] = options.batch_size;
    record["micro-batch-tokens"] = options.micro_batch_tokens;
    record["centering"] = options.centering;
    record["about"]["examples"] = stats.records_out;
    record["about"]["data_digest"] = align::digest(pairs);
    record["model"] = directory;
    align::RewardObjective objective(*reward, std::move(pairs), std::move(held), options);
    train::run(objective, loop, record, directory);
    tool.report(stats);
  });
}

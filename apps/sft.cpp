// sft: supervised fine-tuning of a model on conversations.

#include "align/sft.hpp"

#include <utility>

#include "align/data_flags.hpp"
#include "align/tuning_memory.hpp"
#include "base/cli.hpp"
#include "decode/session.hpp"
#include "model/model_directory.hpp"
#include "train/flags.hpp"

using namespace gristmill;

int main(int argc, char** argv) {
  align::DataFlags files;
  align::SftOptions options;
  train::TrainOptions loop;
  loop.learning_rate = 5e-4;
  loop.weight_decay = 0;

  cli::Tool tool("sft", "Fine-tunes a language model on conversations: learns the assistants' turns.");
  tool.threads().seed().device().stats();
  align::add_data_flags(tool, files, options,
                        "conversations (JSON Lines; messages, Alpaca, ShareGPT or prompt/completion records)",
                        "conversations");
  train::add_train_flags(tool, loop);
  tool.example("sft --model out/pretrain --data chats.jsonl.zst --run-dir out/sft --epochs 3");

  return tool.run(argc, argv, [&] {
    train::read_train_flags(tool, loop);
    train::check_start(loop);
    options.seed = loop.seed;
    const auto device = runtime::open_device(tool.common().device, tool.common().threads, loop.compute);
    const auto start = decode::open_model_files(files.model);
    const tokenizer::ChatTemplate chat(*start.tokenizer);
    Stats stats;
    auto [examples, held] =
        align::load_data(files, chat, start.config.context, stats, align::load_conversations);
    const auto extent = align::tuning_extent(examples, held, options);
    train::report_memory(align::plan_tuning(start.config, extent, loop),
                         train::memory_limit(*device, loop.memory_limit));
    const auto policy = model::load_model(*device, start.path, model::Head::language, 1, loop.weights);

    Json record = train::to_json(loop);
    record["about"]["tool"] = "sft";
    align::put_data(options, examples, start.path, record);
    align::SftObjective objective(*policy, std::move(examples), std::move(held), options);
    train::run(objective, loop, record, start.path);
    tool.report(stats);
  });
}

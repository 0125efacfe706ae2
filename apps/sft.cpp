// sft: supervised fine-tuning of a model on conversations.

#include "align/sft.hpp"
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
    options.seed = loop.seed = tool.common().seed;
    const auto device = runtime::open_device(tool.common().device, tool.common().threads, loop.compute);
    const std::string directory = model::resolve_model_directory(files.model);
    const auto config = model::load_config(directory);
    const tokenizer::ChatTemplate chat(tokenizer::Tokenizer::load(directory));
    Stats stats, held_out;
    auto examples = align::load_conversations(files.data, chat, config.context, stats);
    std::vector<align::Sequence> held;
    if (!files.validation.empty())
      held = align::load_conversations(files.validation, chat, config.context, held_out);
    const auto extent = align::tuning_extent(examples, held, options);
    train::report_memory(align::plan_tuning(config, extent, loop), loop.memory_limit);
    const auto session = decode::open_session(*device, directory);

    Json record = train::to_json(loop);
    record["about"]["tool"] = "sft";
    align::put_data(options, examples, session.path, record);
    align::SftObjective objective(*session.model, std::move(examples), std::move(held), options);
    train::run(objective, loop, record, session.path);
    tool.report(stats);
  });
}

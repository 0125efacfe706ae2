// sft: supervised fine-tuning of a model on conversations.

#include "align/sft.hpp"
#include "base/cli.hpp"
#include "base/log.hpp"
#include "decode/session.hpp"
#include "train/flags.hpp"

using namespace gristmill;

int main(int argc, char** argv) {
  std::string model;
  std::vector<std::string> data, validation;
  align::SftOptions options;
  train::TrainOptions loop;
  loop.learning_rate = 5e-4;
  loop.weight_decay = 0;

  cli::Tool tool("sft", "Fine-tunes a language model on conversations: learns the assistants' turns.");
  tool.threads().seed().device().stats();
  tool.group("Data");
  tool.option("--model", model, "model directory or run directory to start from");
  tool.required();
  tool.option("--data", data,
              "conversations (JSON Lines; messages, Alpaca, ShareGPT or prompt/completion records)");
  tool.required();
  tool.option("--val", validation, "held-out conversations for val_loss");
  tool.option("--epochs", options.epochs, "passes over the data");
  tool.option("--batch-size", options.batch_size, "conversations an optimizer step");
  tool.option("--micro-batch-tokens", options.micro_batch_tokens,
              "packed tokens of one forward and backward");
  train::add_train_flags(tool, loop);
  tool.example("sft --model out/pretrain --data chats.jsonl.zst --run-dir out/sft --epochs 3");

  return tool.run(argc, argv, [&] {
    options.seed = loop.seed = tool.common().seed;
    const auto device = runtime::open_device(tool.common().device, tool.common().threads);
    const auto session = decode::open_session(*device, model);
    const tokenizer::ChatTemplate chat(session.tokens());
    const int64_t context = session.model->config().context;
    Stats stats, held_out;
    auto examples = align::load_conversations(data, chat, context, stats);
    std::vector<align::Sequence> held;
    if (!validation.empty()) held = align::load_conversations(validation, chat, context, held_out);

    Json record = train::to_json(loop);
    record["about"]["tool"] = "sft";
    record["epochs"] = options.epochs;
    record["batch-size"] = options.batch_size;
    record["micro-batch-tokens"] = options.micro_batch_tokens;
    record["about"]["examples"] = stats.records_out;
    record["about"]["data_digest"] = align::digest(examples);
    record["model"] = session.path;
    align::SftObjective objective(*session.model, std::move(examples), std::move(held), options);
    train::run(objective, loop, record, session.path);
    tool.report(stats);
  });
}

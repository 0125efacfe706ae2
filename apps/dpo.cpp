// dpo: direct preference optimization and its relatives.

#include "align/dpo.hpp"

#include <algorithm>

#include "align/data_flags.hpp"
#include "align/tuning_memory.hpp"
#include "base/cli.hpp"
#include "base/error.hpp"
#include "decode/session.hpp"
#include "model/model_directory.hpp"
#include "train/flags.hpp"

using namespace gristmill;

namespace {

const std::vector<std::pair<std::string, align::DpoLoss>> kLosses = {
    {"sigmoid", align::DpoLoss::sigmoid},
    {"robust", align::DpoLoss::robust},
    {"hinge", align::DpoLoss::hinge},
    {"ipo", align::DpoLoss::ipo},
    {"ipo-average", align::DpoLoss::ipo_average},
    {"sigmoid-norm", align::DpoLoss::sigmoid_norm}};

std::string name_of(align::DpoLoss loss) {
  for (const auto& [name, value] : kLosses) {
    if (value == loss) return name;
  }
  return "";
}

}  // namespace

int main(int argc, char** argv) {
  align::DataFlags files;
  std::string reference_model;
  align::DpoOptions options;
  train::TrainOptions loop;
  loop.learning_rate = 1e-4;
  loop.weight_decay = 0;

  cli::Tool tool("dpo",
                 "Aligns a language model with preferences directly, without a reward model or sampling.");
  tool.threads().seed().device().stats();
  align::add_data_flags(tool, files, options, "preferences (JSON Lines: prompt, chosen, rejected)", "pairs");
  tool.option("--reference", reference_model, "frozen reference (default: --model as it is)");
  tool.group("Method");
  tool.choice("--loss", options.loss.loss, kLosses, "loss on a pair");
  tool.option("--beta", options.loss.beta, "strength of the pull to the reference");
  tool.option("--label-smoothing", options.loss.label_smoothing, "share of labels taken to be wrong (cDPO)");
  train::add_train_flags(tool, loop);
  tool.example("dpo --model out/sft --data pairs.jsonl.zst --run-dir out/dpo --beta 0.1");

  return tool.run(argc, argv, [&] {
    options.seed = loop.seed = tool.common().seed;
    align::validate(options.loss);
    const auto device = runtime::open_device(tool.common().device, tool.common().threads, loop.compute);
    const std::string directory = model::resolve_model_directory(files.model);
    const auto config = model::load_config(directory);
    const tokenizer::ChatTemplate chat(tokenizer::Tokenizer::load(directory));
    Stats stats, held_out;
    auto pairs = align::load_preferences(files.data, chat, config.context, stats);
    std::vector<align::PairExample> held;
    if (!files.validation.empty())
      held = align::load_preferences(files.validation, chat, config.context, held_out);
    const auto extent = align::tuning_extent(pairs, held, options);
    if (!reference_model.empty()) {
      const auto frozen = model::load_config(reference_model);
      train::report_memory(align::plan_reference(frozen, config, std::max(extent.kept, extent.passing), loop),
                           loop.memory_limit);
    }
    train::report_memory(align::plan_tuning(config, extent, loop), loop.memory_limit);
    const auto session = decode::open_session(*device, directory);

    // Before training and before a resumed checkpoint is loaded, the policy is the reference.
    auto reference =
        reference_model.empty() ? decode::Session{} : decode::open_session(*device, reference_model);
    if (!reference_model.empty() && reference.tokens().hash() != session.tokens().hash()) {
      fail(Kind::input, reference_model, ": the reference has another tokenizer than ", files.model,
           "; name a model with the same tokenizer");
    }
    auto& frozen = reference_model.empty() ? *session.model : *reference.model;
    auto references = align::reference_log_probs(frozen, pairs, options.micro_batch_tokens);
    auto held_references = align::reference_log_probs(frozen, held, options.micro_batch_tokens);
    reference.model.reset();

    Json record = train::to_json(loop);
    record["about"]["tool"] = "dpo";
    record["loss"] = name_of(options.loss.loss);
    record["beta"] = options.loss.beta;
    record["label-smoothing"] = options.loss.label_smoothing;
    align::put_data(options, pairs, session.path, record);
    record["reference"] = reference_model.empty() ? session.path : reference.path;
    align::DpoObjective objective(*session.model, std::move(pairs), std::move(references), std::move(held),
                                  std::move(held_references), options);
    train::run(objective, loop, record, session.path);
    tool.report(stats);
  });
}

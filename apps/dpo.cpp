// dpo: direct preference optimization and its relatives.

#include "align/dpo.hpp"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "align/data_flags.hpp"
#include "align/start.hpp"
#include "align/tuning_memory.hpp"
#include "base/cli.hpp"
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

void add_method_flags(cli::Tool& tool, align::DpoLossOptions& options) {
  tool.group("Method");
  tool.choice("--loss", options.loss, kLosses, "loss on a pair");
  tool.option("--beta", options.beta, "strength of the pull to the reference");
  tool.option("--label-smoothing", options.label_smoothing, "share of labels taken to be wrong (cDPO)");
}

void put_method(const align::DpoLossOptions& options, Json& record) {
  record["loss"] = name_of(options.loss);
  record["beta"] = options.beta;
  record["label-smoothing"] = options.label_smoothing;
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
  add_method_flags(tool, options.loss);
  train::add_train_flags(tool, loop);
  tool.example("dpo --model out/sft --data pairs.jsonl.zst --run-dir out/dpo --beta 0.1");

  return tool.run(argc, argv, [&] {
    train::read_train_flags(tool, loop);
    train::check_start(loop);
    options.seed = loop.seed;
    align::validate(options.loss);
    const auto device = runtime::open_device(tool.common().device, tool.common().threads, loop.compute);
    const auto start = decode::open_model_files(files.model);
    const auto other = align::open_reference(reference_model, start);
    const tokenizer::ChatTemplate chat(*start.tokenizer);
    Stats stats;
    const int64_t context =
        other ? std::min(start.config.context, other->config.context) : start.config.context;
    auto [pairs, held] = align::load_data(files, chat, context, stats, align::load_preferences);
    const auto extent = align::tuning_extent(pairs, held, options);
    if (other) {
      const int64_t tokens = std::max(extent.kept, extent.passing);
      train::report_memory(align::plan_reference(other->config, start.config, tokens, loop),
                           train::memory_limit(*device, loop.memory_limit));
    }
    train::report_memory(align::plan_tuning(start.config, extent, loop),
                         train::memory_limit(*device, loop.memory_limit));
    const auto policy = model::load_model(*device, start.path, model::Head::language, 1, loop.weights);

    // Before training and before a resumed checkpoint is loaded, the policy is the reference.
    auto frozen =
        other ? model::load_model(*device, other->path, model::Head::language, 1, loop.weights) : nullptr;
    auto& reference = other ? *frozen : *policy;
    auto references = align::reference_log_probs(reference, pairs, options.micro_batch_tokens);
    auto held_references = align::reference_log_probs(reference, held, options.micro_batch_tokens);
    frozen.reset();

    Json record = train::to_json(loop);
    record["about"]["tool"] = "dpo";
    put_method(options.loss, record);
    align::put_data(options, pairs, start.path, record);
    record["reference"] = other ? other->path : start.path;
    align::DpoObjective objective(*policy, std::move(pairs), std::move(references), std::move(held),
                                  std::move(held_references), options);
    train::run(objective, loop, record, start.path);
    tool.report(stats);
  });
}

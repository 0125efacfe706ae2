#include "train/flags.hpp"

#include <string>
#include <utility>
#include <vector>

namespace gristmill::train {

namespace {

template <class Enum>
using Names = std::vector<std::pair<std::string, Enum>>;

const Names<Schedule> kSchedules = {{"constant", Schedule::constant},
                                    {"cosine", Schedule::cosine},
                                    {"linear", Schedule::linear},
                                    {"wsd", Schedule::wsd}};
const Names<OptimizerKind> kOptimizers = {{"adamw", OptimizerKind::adamw}, {"muon", OptimizerKind::muon}};
const Names<model::Recompute> kRecompute = {
    {"none", model::Recompute::none}, {"norms", model::Recompute::norms}, {"block", model::Recompute::block}};
const Names<runtime::DType> kTypes = {{"fp32", runtime::DType::f32}, {"bf16", runtime::DType::bf16}};

const Names<model::WeightStorage> kWeights = {{"fp32", model::WeightStorage::real},
                                              {"bf16", model::WeightStorage::bf16}};
const Names<model::StoredType> kStoredTypes = {
    {"fp32", model::StoredType::f32}, {"bf16", model::StoredType::bf16}, {"fp16", model::StoredType::f16}};

template <class Enum>
std::string name_of(const Names<Enum>& names, Enum value) {
  for (const auto& [name, item] : names) {
    if (item == value) return name;
  }
  return "";
}

void add_run_flags(cli::Tool& tool, TrainOptions& options) {
  tool.group("Run");
  tool.option("--run-dir", options.run_dir,
              "folder of the run: config.toml, metrics.jsonl, checkpoints/, report.html");
  tool.required();
  tool.option("--resume", options.resume, "go on from the last checkpoint; start if there is none");
  tool.option("--checkpoint-every", options.checkpoint_every,
              "steps between checkpoints; 0 = only at the end");
  tool.option("--keep-checkpoints", options.keep_checkpoints, "newest checkpoints to keep; 0 = all");
  tool.option("--validate-every", options.validate_every, "steps between validations; 0 = only at the end");
  tool.choice("--dtype", options.compute, kTypes,
              "arithmetic of products and activations; sums and updates are always fp32");
  tool.choice(
      "--weights", options.weights, kWeights,
      "bf16 = half the memory for weights; each update is rounded up or down at random, so that small "
      "ones add up; goes with --dtype bf16");
  tool.choice("--recompute", options.recompute, kRecompute,
              "what the backward pass computes anew: saves memory, costs time, changes no bit");
  tool.size_option("--memory-limit", options.memory_limit,
                   "refuse to start a run that needs more, all its ranks on a machine together; 0 = what the "
                   "machine has to spare");
  tool.option("--export", options.export_to.directory,
              "folder beside --run-dir for the finished model, as others take it; checkpoints stay one exact "
              "file");
  tool.choice("--save-dtype", options.export_to.type, kStoredTypes, "type of the weights in --export");
  tool.size_option(
      "--max-shard-size", options.export_to.max_shard_size,
      "largest file of weights in --export, more go to further files with an index; 0 = one file");
}

}  // namespace

void add_train_flags(cli::Tool& tool, TrainOptions& options) {
  add_run_flags(tool, options);
  tool.group("Optimizer");
  tool.choice("--optimizer", options.optimizer, kOptimizers,
              "muon = Muon for the matrices of the layers, AdamW for all else, at the same rate");
  tool.option("--lr", options.learning_rate, "peak learning rate");
  tool.choice("--schedule", options.schedule.kind, kSchedules, "learning rate by step");
  tool.option("--warmup", options.schedule.warmup_share, "share of the steps with a rising rate");
  tool.option("--decay", options.schedule.decay_share, "share of the steps with a falling rate (wsd)");
  tool.option("--final-lr", options.schedule.final_share,
              "last rate as a share of the peak (cosine, linear)");
  tool.option("--beta1", options.beta1, "AdamW: decay of the first moment");
  tool.option("--beta2", options.beta2, "AdamW: decay of the second moment");
  tool.option("--weight-decay", options.weight_decay, "decoupled weight decay of matrices");
  tool.option("--clip-norm", options.clip_norm, "largest global gradient norm; 0 = off");
  tool.option(
      "--skip-outliers", options.skip_outliers,
      "leave out a step whose loss or gradient norm lies this many standard deviations above those of "
      "the last 128 steps; 0 = off");
}

void read_train_flags(const cli::Tool& tool, TrainOptions& options) {
  options.seed = tool.common().seed;
  options.export_to.form_given = tool.given("--save-dtype") || tool.given("--max-shard-size");
}

Json to_json(const TrainOptions& options) {
  Json json = Json::object();
  json["dtype"] = name_of(kTypes, options.compute);
  if (options.weights != model::WeightStorage::real) json["weights"] = name_of(kWeights, options.weights);
  json["recompute"] = name_of(kRecompute, options.recompute);
  json["optimizer"] = name_of(kOptimizers, options.optimizer);
  json["lr"] = options.learning_rate;
  json["schedule"] = name_of(kSchedules, options.schedule.kind);
  json["warmup"] = options.schedule.warmup_share;
  json["decay"] = options.schedule.decay_share;
  json["final-lr"] = options.schedule.final_share;
  json["beta1"] = options.beta1;
  json["beta2"] = options.beta2;
  json["weight-decay"] = options.weight_decay;
  json["clip-norm"] = options.clip_norm;
  json["skip-outliers"] = options.skip_outliers;
  json["checkpoint-every"] = options.checkpoint_every;
  json["keep-checkpoints"] = options.keep_checkpoints;
  json["validate-every"] = options.validate_every;
  json["seed"] = options.seed;
  json["about"]["epsilon"] = options.epsilon;
  return json;
}

}  // namespace gristmill::train

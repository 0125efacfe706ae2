#include "train/flags.hpp"

#include <string>
#include <utility>
#include <vector>

namespace gristmill::train {

namespace {

const std::vector<std::pair<std::string, Schedule>> kSchedules = {{"constant", Schedule::constant},
                                                                  {"cosine", Schedule::cosine},
                                                                  {"linear", Schedule::linear},
                                                                  {"wsd", Schedule::wsd}};

}  // namespace

void add_train_flags(cli::Tool& tool, TrainOptions& options) {
  tool.group("Run");
  tool.option("--run-dir", options.run_dir,
              "folder of the run: config.toml, metrics.jsonl, checkpoints/, report.html");
  tool.required();
  tool.option("--resume", options.resume, "go on from the last checkpoint; start if there is none");
  tool.option("--checkpoint-every", options.checkpoint_every,
              "steps between checkpoints; 0 = only at the end");
  tool.option("--keep-checkpoints", options.keep_checkpoints, "newest checkpoints to keep; 0 = all");
  tool.option("--validate-every", options.validate_every, "steps between validations; 0 = only at the end");
  tool.group("Optimizer");
  tool.option("--lr", options.learning_rate, "peak learning rate of AdamW");
  tool.choice("--schedule", options.schedule.kind, kSchedules, "learning rate by step");
  tool.option("--warmup", options.schedule.warmup_share, "share of the steps with a rising rate");
  tool.option("--decay", options.schedule.decay_share, "share of the steps with a falling rate (wsd)");
  tool.option("--final-lr", options.schedule.final_share,
              "last rate as a share of the peak (cosine, linear)");
  tool.option("--beta1", options.beta1, "decay of the first moment");
  tool.option("--beta2", options.beta2, "decay of the second moment");
  tool.option("--weight-decay", options.weight_decay, "decoupled weight decay of matrices");
  tool.option("--clip-norm", options.clip_norm, "largest global gradient norm; 0 = off");
}

Json to_json(const TrainOptions& options) {
  Json json = Json::object();
  json["lr"] = options.learning_rate;
  for (const auto& [name, kind] : kSchedules) {
    if (kind == options.schedule.kind) json["schedule"] = name;
  }
  json["warmup"] = options.schedule.warmup_share;
  json["decay"] = options.schedule.decay_share;
  json["final-lr"] = options.schedule.final_share;
  json["beta1"] = options.beta1;
  json["beta2"] = options.beta2;
  json["weight-decay"] = options.weight_decay;
  json["clip-norm"] = options.clip_norm;
  json["checkpoint-every"] = options.checkpoint_every;
  json["keep-checkpoints"] = options.keep_checkpoints;
  json["validate-every"] = options.validate_every;
  json["seed"] = options.seed;
  json["about"]["epsilon"] = options.epsilon;
  return json;
}

}  // namespace gristmill::train

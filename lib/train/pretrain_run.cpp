#include "train/pretrain_run.hpp"

#include <filesystem>
#include <memory>
#include <optional>
#include <utility>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/hash.hpp"
#include "base/log.hpp"
#include "model/model_directory.hpp"

namespace gristmill::train {

namespace fs = std::filesystem;

namespace {

/// The tokenizer's file: the one named, or the one beside the model to start from.
std::string tokenizer_file(const PretrainRunOptions& options) {
  if (!options.tokenizer.empty()) {
    const fs::path path(options.tokenizer);
    return fs::is_directory(path) ? (path / "tokenizer.json").string() : options.tokenizer;
  }
  if (options.init.empty()) return "";
  const fs::path beside = fs::path(model::resolve_model_directory(options.init)) / "tokenizer.json";
  return fs::exists(beside) ? beside.string() : "";
}

void check_options(const PretrainRunOptions& options) {
  const int sources =
      (options.model_config.empty() ? 0 : 1) + (options.init.empty() ? 0 : 1) + (options.shape_given ? 1 : 0);
  if (sources > 1) {
    fail(Kind::usage,
         "the model's shape is given twice: use one of --model-config, --init, or --layers, --dim and so on");
  }
  if (!(options.train.learning_rate > 0)) fail(Kind::usage, "--lr must be above 0");
}

std::unique_ptr<model::Transformer> make_model(runtime::Device& device, const PretrainRunOptions& options,
                                               const shard::TokenShardInfo& tokens) {
  if (!options.init.empty()) return model::load_model(device, options.init);
  auto made = std::make_unique<model::Transformer>(device, pretrain_config(options, tokens));
  model::initialize(made->parameters(), options.train.seed);
  return made;
}

void put_unless_empty(Json& json, const char* key, const std::string& value) {
  if (!value.empty()) json[key] = value;
}

const char* schedule_name(Schedule schedule) {
  switch (schedule) {
    case Schedule::constant:
      return "constant";
    case Schedule::cosine:
      return "cosine";
    case Schedule::linear:
      return "linear";
    case Schedule::wsd:
      return "wsd";
  }
  return "";
}

void put_shape(Json& json, const ShapeOptions& shape) {
  json["layers"] = shape.layers;
  json["dim"] = shape.dim;
  json["heads"] = shape.heads;
  json["kv-heads"] = shape.kv_heads;
  json["hidden-dim"] = shape.hidden_dim;
  json["context"] = shape.context;
  json["untied"] = shape.untied;
}

}  // namespace

Json PretrainRunOptions::record() const {
  Json json = Json::object();
  put_unless_empty(json, "model-config", model_config);
  put_unless_empty(json, "init", init);
  if (model_config.empty() && init.empty()) put_shape(json, shape);
  put_unless_empty(json, "tokenizer", tokenizer);
  put_unless_empty(json, "val", held_out);
  json["tokens"] = pretrain.tokens;
  json["batch-tokens"] = pretrain.batch_tokens;
  json["micro-batch-tokens"] = pretrain.micro_batch_tokens;
  json["lr"] = train.learning_rate;
  json["schedule"] = schedule_name(train.schedule.kind);
  json["warmup"] = train.schedule.warmup_share;
  json["decay"] = train.schedule.decay_share;
  json["final-lr"] = train.schedule.final_share;
  json["beta1"] = train.beta1;
  json["beta2"] = train.beta2;
  json["weight-decay"] = train.weight_decay;
  json["clip"] = train.clip_norm;
  json["checkpoint-every"] = train.checkpoint_every;
  json["validate-every"] = train.validate_every;
  json["keep-checkpoints"] = train.keep_checkpoints;
  json["seed"] = train.seed;
  return json;
}

model::Config pretrain_config(const PretrainRunOptions& options, const shard::TokenShardInfo& tokens) {
  if (!options.model_config.empty()) {
    const auto config =
        model::Config::from_json(read_json_file(options.model_config, 1 << 20), options.model_config);
    if (config.head != model::Head::language)
      fail(Kind::input, options.model_config, ": not a language model");
    return config;
  }
  const auto& shape = options.shape;
  if (shape.heads < 1 || shape.dim < 1 || shape.dim % shape.heads != 0) {
    fail(Kind::usage, "--dim (", shape.dim, ") must be a multiple of --heads (", shape.heads, ")");
  }
  model::Config config;
  config.vocab_size = static_cast<int64_t>(tokens.vocab_size);
  config.layers = shape.layers;
  config.dim = shape.dim;
  config.heads = shape.heads;
  config.kv_heads = shape.kv_heads == 0 ? shape.heads : shape.kv_heads;
  config.head_dim = shape.dim / shape.heads;
  config.hidden_dim = shape.hidden_dim == 0 ? (shape.dim * 8 / 3 + 31) / 32 * 32 : shape.hidden_dim;
  config.context = shape.context;
  config.tied = !shape.untied;
  config.bos_token = config.eos_token = config.pad_token = tokens.end_of_text;
  config.validate();
  return config;
}

void pretrain(const PretrainRunOptions& options) {
  check_options(options);
  const std::string tokenizer = tokenizer_file(options);
  const std::string hash = tokenizer.empty() ? "" : xxh128_hex(read_file(tokenizer));
  shard::TokenSet tokens = shard::read_tokens(options.inputs, hash);
  std::optional<shard::TokenSet> held_out;
  if (!options.held_out.empty())
    held_out = shard::read_tokens({options.held_out}, tokens.info.tokenizer_hash);
  const auto device = runtime::open_device(options.device, options.threads);
  const auto made = make_model(*device, options, tokens.info);
  const size_t count = tokens.ids.size();
  PretrainObjective objective(*made, std::move(tokens), std::move(held_out), options.pretrain);
  const auto& config = made->config();
  log::info(config.parameter_count(), " parameters (", config.layers, " layers of ", config.dim,
            ", vocabulary ", config.vocab_size, ", context ", config.context, "), ", count, " tokens, ",
            objective.total_steps(), " steps on ", device->name());
  run(objective, options.train, options.record(), tokenizer);
}

}  // namespace gristmill::train

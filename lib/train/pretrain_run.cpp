#include "train/pretrain_run.hpp"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <utility>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/hash.hpp"
#include "base/log.hpp"
#include "model/model_directory.hpp"
#include "train/memory_plan.hpp"

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
  const bool shaped = options.shape_given || (options.context_given && options.init.empty());
  const int sources =
      (options.model_config.empty() ? 0 : 1) + (options.init.empty() ? 0 : 1) + (shaped ? 1 : 0);
  if (sources > 1) {
    fail(Kind::usage,
         "the model's shape is given twice: use one of --model-config, --init, or --layers, --dim and so on");
  }
  if (options.anneal_given && options.anneal_data.empty())
    fail(Kind::usage, "--anneal-share and --anneal-weight are of no use without --anneal-data");
  if (options.experts_per_token_given && options.shape.experts == 0)
    fail(Kind::usage, "--experts-per-token is of no use without --experts");
  if (!(options.aux_loss_weight >= 0) && options.aux_loss_weight != -1) {
    fail(Kind::usage, "--aux-loss-weight must not be below 0 (-1 = the model's own), not ",
         options.aux_loss_weight);
  }
  if (options.ranks.zero != 1 && options.ranks.zero != 2)
    fail(Kind::usage, "--zero must be 1 or 2, not ", options.ranks.zero);
  if (!(options.rope_theta >= 0)) fail(Kind::usage, "--rope-theta must not be below 0");
}

/// Puts "A:B" into the options.
void read_ramp(const std::string& text, PretrainOptions& options) {
  if (text.empty()) return;
  const size_t colon = text.find(':');
  const auto start = parse_double(std::string_view(text).substr(0, colon));
  const auto share = colon == std::string::npos ? std::optional<double>{}
                                                : parse_double(std::string_view(text).substr(colon + 1));
  if (!start || !share)
    fail(Kind::usage, "--batch-ramp ", in_quotes(text), ": expected two shares such as 0.25:0.1");
  options.ramp_start = *start;
  options.ramp_share = *share;
}

void put_experts(const ShapeOptions& shape, model::Config& config) {
  constexpr double kBalance = 0.01;  // Fedus et al. 2021, §2.2
  config.experts = shape.experts;
  if (shape.experts == 0) return;
  if (shape.experts_per_token < 2) {
    fail(Kind::usage, "--experts-per-token must be at least 2, not ", shape.experts_per_token,
         ": the weight of a single expert is always 1, and its router would learn nothing from the text");
  }
  config.experts_per_token = shape.experts_per_token;
  config.router_balance = kBalance;
}

model::Config config_of_shape(const ShapeOptions& shape, const shard::TokenShardInfo& tokens) {
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
  config.qk_norm = shape.qk_norm;
  config.zero_init = shape.zero_init;
  config.mup_base_dim = shape.mup_base_dim;
  put_experts(shape, config);
  config.bos_token = config.eos_token = config.pad_token = tokens.end_of_text;
  return config;
}

model::Config config_of_init(const PretrainRunOptions& options) {
  model::Config config = model::load_config(options.init);
  if (!options.context_given || options.shape.context == config.context) return config;
  if (config.family == model::Family::gpt2) {
    fail(Kind::usage, "--context: the positions of ", options.init,
         " are learned weights and cannot be extended; leave the option away");
  }
  if (options.shape.context < config.context) {
    fail(Kind::usage, "--context ", options.shape.context, " is shorter than the ", config.context,
         " tokens of ", options.init, "; name a longer one or leave the option away");
  }
  config.context = options.shape.context;
  return config;
}

/// Neither context nor rotary base has a tensor, so a model of another context takes the weights as they are.
std::unique_ptr<model::Transformer> make_model(runtime::Device& device, const model::Config& config,
                                               const PretrainRunOptions& options) {
  if (options.init.empty()) {
    auto made = std::make_unique<model::Transformer>(device, config, options.train.weights);
    model::initialize(made->parameters(), options.train.seed);
    return made;
  }
  auto loaded = model::load_model(device, options.init, model::Head::language, 1, options.train.weights);
  if (loaded->config() == config) return loaded;
  auto made = std::make_unique<model::Transformer>(device, config, options.train.weights);
  device.backend().copy(made->parameters().all(), loaded->parameters().all());
  device.synchronize();
  return made;
}

struct Data {
  shard::TokenSet tokens;
  std::optional<shard::TokenSet> held_out, anneal;
};

Data read_data(const PretrainRunOptions& options, const std::string& tokenizer) {
  const std::string hash = tokenizer.empty() ? "" : xxh128_hex(read_file(tokenizer));
  Data data;
  data.tokens = shard::read_tokens(options.inputs, hash);
  const auto& same = data.tokens.info.tokenizer_hash;
  if (!options.held_out.empty()) data.held_out = shard::read_tokens({options.held_out}, same);
  if (!options.anneal_data.empty()) data.anneal = shard::read_tokens(options.anneal_data, same);
  return data;
}

int64_t size_of(const std::optional<shard::TokenSet>& tokens) {
  return tokens ? static_cast<int64_t>(tokens->ids.size()) : 0;
}

void check_memory(const model::Config& config, const Data& data, const PretrainRunOptions& options,
                  runtime::Device& device, runtime::Collective& ranks) {
  MemoryPlanOptions plan = memory_options(options.train);
  plan.ranks = ranks.size();
  plan.zero = options.ranks.zero;
  plan.extent =
      pretrain_extent(options.pretrain, config.context, static_cast<int64_t>(data.tokens.ids.size()),
                      size_of(data.anneal), size_of(data.held_out));
  plan.objective_bytes = PretrainObjective::bytes(config, plan.extent, plan.real, options.pretrain);
  // All have read their data before one looks at what memory is left, and all have looked before one takes
  // any.
  runtime::gather_values(ranks, {});
  report_memory(plan_memory(config, plan), memory_limit(device, options.train.memory_limit),
                ranks.on_this_machine());
  runtime::gather_values(ranks, {});
}

}  // namespace

model::Config pretrain_config(const PretrainRunOptions& options, const shard::TokenShardInfo& tokens) {
  model::Config config;
  if (!options.init.empty()) {
    config = config_of_init(options);
  } else if (!options.model_config.empty()) {
    config = model::Config::from_json(read_json_file(options.model_config, 1 << 20), options.model_config);
  } else {
    config = config_of_shape(options.shape, tokens);
  }
  if (config.head != model::Head::language)
    fail(Kind::input, options.init, options.model_config, ": not a language model");
  if (options.rope_theta > 0) {
    if (config.family == model::Family::gpt2)
      fail(Kind::usage, "--rope-theta: a GPT-2 has no rotary embedding");
    config.rope_theta = options.rope_theta;
  }
  if (options.aux_loss_weight >= 0) {
    if (config.experts == 0) fail(Kind::usage, "--aux-loss-weight is of no use to a model without experts");
    config.router_balance = options.aux_loss_weight;
  }
  config.validate();
  return config;
}

namespace {

/// On one of the ranks, or alone.
void pretrain_on(runtime::Collective& collective, const PretrainRunOptions& given) {
  check_options(given);
  PretrainRunOptions options = given;
  read_ramp(options.batch_ramp, options.pretrain);
  if (!options.anneal_data.empty()) options.train.schedule.anneal_share = options.pretrain.anneal_share;
  if (collective.rank() == 0) check_start(options.train);
  const std::string tokenizer = tokenizer_file(options);
  Data data = read_data(options, tokenizer);
  const auto config = pretrain_config(options, data.tokens.info);
  const auto device = runtime::open_device(options.device, options.threads, options.train.compute);
  check_memory(config, data, options, *device, collective);
  const auto made = make_model(*device, config, options);
  Ranks ranks(collective, *device,
              partition(made->parameters().table(), collective.size(),
                        [&](const auto& tensor) { return is_whole(tensor, options.train.optimizer); }),
              options.ranks);
  const size_t count = data.tokens.ids.size();
  PretrainObjective objective(*made, std::move(data.tokens), std::move(data.held_out), options.pretrain,
                              std::move(data.anneal), &ranks);
  log::info(
      config.parameter_count(), " parameters (", config.layers, " layers of ", config.dim,
      config.experts > 0 ? str(", ", config.active_parameter_count(), " active a token") : std::string(),
      ", vocabulary ", config.vocab_size, ", context ", config.context, "), ", count, " tokens, ",
      objective.total_steps(), " steps on ", device->name(),
      ranks.size() > 1
          ? str(", ", ranks.size(), " ranks (", collective.name(), "), ZeRO ", options.ranks.zero,
                ranks.keeps_order() ? "" : ", gradients added in no fixed order")
          : std::string());
  run(objective, options.train, options.record(), tokenizer);
}

}  // namespace

void pretrain(const PretrainRunOptions& options) {
  if (options.rendezvous_seconds < 1)
    fail(Kind::usage, "--rendezvous-seconds must be at least 1, not ", options.rendezvous_seconds);
  const auto collective = runtime::open_collective(
      {options.device, options.rendezvous, static_cast<double>(options.rendezvous_seconds)});
  run_together(*collective, [&] { pretrain_on(*collective, options); });
}

}  // namespace gristmill::train

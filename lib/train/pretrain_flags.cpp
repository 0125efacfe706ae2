// The flags of `pretrain`, and their record under the same names.

#include <algorithm>
#include <string>
#include <vector>

#include "train/flags.hpp"
#include "train/pretrain_run.hpp"

namespace gristmill::train {

namespace {

void add_model_flags(cli::Tool& tool, PretrainRunOptions& options) {
  auto& shape = options.shape;
  tool.group("Model");
  tool.option("--model-config", options.model_config, "config.json of Hugging Face with the model's shape");
  tool.option("--init", options.init, "model directory to start from");
  tool.option("--layers", shape.layers, "transformer layers");
  tool.option("--dim", shape.dim, "width of the residual stream");
  tool.option("--heads", shape.heads, "attention heads");
  tool.option("--kv-heads", shape.kv_heads, "key and value heads; 0 = as many as --heads");
  tool.option("--hidden-dim", shape.hidden_dim, "width of the feed-forward layer; 0 = 8/3 of --dim");
  tool.option("--context", shape.context,
              "longest text in tokens; with --init: extends that model's, which must be shorter");
  tool.option("--rope-theta", options.rope_theta,
              "base of the rotary embedding; 0 = the model's own, 10000 for a new one");
  tool.option("--untied", shape.untied, "give the head weights of its own");
  tool.option("--qk-norm", shape.qk_norm, "normalise each head's queries and keys (steadier at high rates)");
  tool.option(
      "--experts", shape.experts,
      "make the feed-forward layer a mixture of so many experts of --hidden-dim each (Mixtral); 0 = off");
  tool.option("--experts-per-token", shape.experts_per_token, "experts that work on a token, with --experts");
  tool.option(
      "--aux-loss-weight", options.aux_loss_weight,
      "weight of the loss that spreads tokens over experts; -1 = the model's own, 0.01 for a new one");
  tool.option("--router-z-loss", options.pretrain.router_z_loss,
              "weight of the squared log of the routers' softmax sums (1e-3 is usual); 0 = off");
  tool.option("--zero-init", shape.zero_init, "start every layer as the identity");
  tool.option(
      "--mup-base-dim", shape.mup_base_dim,
      "scale initial weights and learning rates so that the best --lr is that of a model of this --dim; "
      "0 = off");
}

void add_data_flags(cli::Tool& tool, PretrainRunOptions& options) {
  auto& pretrain = options.pretrain;
  tool.group("Data");
  tool.option("--tokenizer", options.tokenizer,
              "tokenizer.json: must be the shards'; copied into the model directories");
  tool.option("--val", options.held_out, "token shard that is held out for validation");
  tool.option("--tokens", pretrain.tokens, "tokens to train on, repeated in epochs; 0 = each token once");
  tool.option("--batch-tokens", pretrain.batch_tokens, "tokens an optimizer step");
  tool.option("--micro-batch-tokens", pretrain.micro_batch_tokens, "tokens in memory at once");
  tool.option("--batch-ramp", options.batch_ramp,
              "A:B = start with A of --batch-tokens and reach all of it at B of the tokens (0.25:0.1)");
  tool.option("--anneal-data", options.anneal_data,
              "token shards, repeat or separate by commas: join at the end, while the learning rate falls to "
              "0 in a line");
  tool.option("--anneal-share", pretrain.anneal_share, "last share of the steps, with --anneal-data");
  tool.option("--anneal-weight", pretrain.anneal_weight, "share of --anneal-data there; the rest as before");
  tool.option("--z-loss", pretrain.z_loss,
              "weight of the squared log of the softmax's sum (1e-4 is usual; costs one more product of the "
              "head); 0 = off");
}

void put_shape(Json& json, const ShapeOptions& shape) {
  json["layers"] = shape.layers;
  json["dim"] = shape.dim;
  json["heads"] = shape.heads;
  json["kv-heads"] = shape.kv_heads;
  json["hidden-dim"] = shape.hidden_dim;
  json["context"] = shape.context;
  json["untied"] = shape.untied;
  json["qk-norm"] = shape.qk_norm;
  json["zero-init"] = shape.zero_init;
  json["mup-base-dim"] = shape.mup_base_dim;
  if (shape.experts == 0) return;
  json["experts"] = shape.experts;
  json["experts-per-token"] = shape.experts_per_token;
}

void put_unless_empty(Json& json, const char* key, const std::string& value) {
  if (!value.empty()) json[key] = value;
}

void put_annealing(Json& json, const PretrainRunOptions& options) {
  if (options.anneal_data.empty()) return;
  for (const auto& file : options.anneal_data) json["anneal-data"].push_back(file);
  json["anneal-share"] = options.pretrain.anneal_share;
  json["anneal-weight"] = options.pretrain.anneal_weight;
}

void add_rank_flags(cli::Tool& tool, PretrainRunOptions& options) {
  auto& ranks = options.ranks;
  tool.group("Ranks");
  tool.option(
      "--zero", ranks.zero,
      "what several ranks cut among them (ZeRO): 1 = the optimizer's state; 2 = the gradients too, which "
      "saves memory");
  tool.option(
      "--deterministic-reduce", ranks.deterministic_reduce,
      "add gradients in the order of the micro-batches on GPUs too, so that any number of ranks gives "
      "the same bits; CPUs always do");
  tool.option(
      "--rendezvous", options.rendezvous,
      "file that all ranks see and that is not there yet: ranks on GPUs that torchrun or srun started "
      "find each other by it, without MPI");
  tool.option("--rendezvous-seconds", options.rendezvous_seconds,
              "how long to wait for the other ranks there");
}

}  // namespace

void add_pretrain_flags(cli::Tool& tool, PretrainRunOptions& options) {
  add_data_flags(tool, options);
  add_model_flags(tool, options);
  add_train_flags(tool, options.train);
  add_rank_flags(tool, options);
}

void read_common_flags(const cli::Tool& tool, PretrainRunOptions& options) {
  const auto& common = tool.common();
  options.inputs = common.inputs;
  options.threads = common.threads;
  options.device = common.device;
  read_train_flags(tool, options.train);
  options.pretrain.seed = common.seed;
  const auto any_given = [&](const std::vector<std::string>& flags) {
    return std::any_of(flags.begin(), flags.end(), [&](const auto& flag) { return tool.given(flag); });
  };
  options.shape_given =
      any_given({"--layers", "--dim", "--heads", "--kv-heads", "--hidden-dim", "--untied", "--qk-norm",
                 "--zero-init", "--mup-base-dim", "--experts", "--experts-per-token"});
  options.experts_per_token_given = tool.given("--experts-per-token");
  options.context_given = tool.given("--context");
  options.anneal_given = any_given({"--anneal-share", "--anneal-weight"});
}

Json PretrainRunOptions::record() const {
  Json json = Json::object();
  put_unless_empty(json, "model-config", model_config);
  put_unless_empty(json, "init", init);
  if (model_config.empty() && init.empty()) put_shape(json, shape);
  if (!init.empty() && context_given) json["context"] = shape.context;
  if (rope_theta > 0) json["rope-theta"] = rope_theta;
  put_unless_empty(json, "tokenizer", tokenizer);
  put_unless_empty(json, "val", held_out);
  json["tokens"] = pretrain.tokens;
  json["batch-tokens"] = pretrain.batch_tokens;
  json["micro-batch-tokens"] = pretrain.micro_batch_tokens;
  put_unless_empty(json, "batch-ramp", batch_ramp);
  put_annealing(json, *this);
  json["z-loss"] = pretrain.z_loss;
  if (aux_loss_weight >= 0) json["aux-loss-weight"] = aux_loss_weight;
  if (pretrain.router_z_loss > 0) json["router-z-loss"] = pretrain.router_z_loss;
  json["zero"] = int64_t{ranks.zero};
  if (ranks.deterministic_reduce) json["deterministic-reduce"] = true;
  const Json shared = to_json(train);
  for (const auto& [key, value] : shared.as_object()) json[key] = value;
  return json;
}

}  // namespace gristmill::train

// config.json both ways. A feature that we would compute wrongly is refused by name: a checkpoint must not
// load into a model that silently differs from the one that was trained.

#include "model/config.hpp"

#include <string_view>
#include <utility>

#include "base/error.hpp"

namespace gristmill::model {
namespace {

constexpr int64_t kMaxExtent = int64_t{1} << 28;

int64_t int_or(const Json& json, std::string_view key, int64_t fallback) {
  const Json* value = json.find(key);
  return value == nullptr || value->is_null() ? fallback : value->as_int();
}

double double_or(const Json& json, std::string_view key, double fallback) {
  const Json* value = json.find(key);
  return value == nullptr || value->is_null() ? fallback : value->as_double();
}

bool bool_or(const Json& json, std::string_view key, bool fallback) {
  const Json* value = json.find(key);
  return value == nullptr || value->is_null() ? fallback : value->as_bool();
}

std::string text_or(const Json& json, std::string_view key, std::string_view fallback) {
  const Json* value = json.find(key);
  return value == nullptr || value->is_null() ? std::string(fallback) : value->as_string();
}

/// A token id; Llama 3 lists several ends, of which the first is the one that ends a document.
uint32_t token_or(const Json& json, std::string_view key, uint32_t fallback) {
  const Json* value = json.find(key);
  if (value != nullptr && value->is_array() && !value->as_array().empty()) value = &value->as_array().front();
  if (value == nullptr || value->is_null() || value->is_array()) return fallback;
  const int64_t id = value->as_int();
  return id < 0 || id > kMaxExtent ? fallback : static_cast<uint32_t>(id);
}

void refuse_flag(const Json& json, std::string_view key, const std::string& where) {
  if (bool_or(json, key, false)) fail(Kind::input, where, ": ", key, " = true is not supported");
}

void refuse_value(const Json& json, std::string_view key, const std::string& where) {
  const Json* value = json.find(key);
  if (value == nullptr || value->is_null()) return;
  fail(Kind::input, where, ": ", key, " = ", value->dump(), " is not supported");
}

/// Newer files hold the rotary base in rope_parameters, older ones beside an (absent) rope_scaling.
double rope_theta(const Json& json, const std::string& where) {
  refuse_value(json, "rope_scaling", where);
  const Json* parameters = json.find("rope_parameters");
  if (parameters == nullptr || parameters->is_null()) return double_or(json, "rope_theta", 10000);
  const std::string type = text_or(*parameters, "rope_type", "default");
  if (type != "default") fail(Kind::input, where, ": rope_type = ", in_quotes(type), " is not supported");
  return double_or(*parameters, "rope_theta", 10000);
}

void read_head(Config& config, const Json& json, const std::string& where) {
  if (config.head != Head::scalar) return;
  const Json* labels = json.find("id2label");
  const int64_t count = labels != nullptr && labels->is_object()
                            ? static_cast<int64_t>(labels->as_object().size())
                            : int_or(json, "num_labels", 2);
  if (count != 1)
    fail(Kind::input, where, ": a classifier of ", count, " labels is not supported, only one of 1");
}

void read_llama(Config& config, const Json& json, const std::string& where) {
  config.dim = json.at("hidden_size").as_int();
  config.layers = json.at("num_hidden_layers").as_int();
  config.heads = json.at("num_attention_heads").as_int();
  config.kv_heads = int_or(json, "num_key_value_heads", config.heads);
  config.head_dim = int_or(json, "head_dim", config.heads > 0 ? config.dim / config.heads : 0);
  config.hidden_dim = json.at("intermediate_size").as_int();
  config.context = int_or(json, "max_position_embeddings", 2048);
  config.norm_epsilon = double_or(json, "rms_norm_eps", 1e-6);
  config.rope_theta = rope_theta(json, where);
  config.tied = bool_or(json, "tie_word_embeddings", false);
  refuse_flag(json, "attention_bias", where);
  refuse_flag(json, "mlp_bias", where);
  const std::string activation = text_or(json, "hidden_act", "silu");
  if (activation != "silu")
    fail(Kind::input, where, ": hidden_act = ", in_quotes(activation), " is not supported");
}

void read_gpt2(Config& config, const Json& json, const std::string& where) {
  config.dim = json.at("n_embd").as_int();
  config.layers = json.at("n_layer").as_int();
  config.heads = json.at("n_head").as_int();
  config.kv_heads = config.heads;
  config.head_dim = config.heads > 0 ? config.dim / config.heads : 0;
  config.hidden_dim = int_or(json, "n_inner", config.dim > kMaxExtent ? 0 : 4 * config.dim);
  config.context = int_or(json, "n_positions", 1024);
  config.norm_epsilon = double_or(json, "layer_norm_epsilon", 1e-5);
  config.tied = bool_or(json, "tie_word_embeddings", true);
  const std::string activation = text_or(json, "activation_function", "gelu_new");
  if (activation != "gelu_new" && activation != "gelu_pytorch_tanh") {
    fail(Kind::input, where, ": activation_function = ", in_quotes(activation), " is not supported");
  }
  if (!bool_or(json, "scale_attn_weights", true)) {
    fail(Kind::input, where, ": scale_attn_weights = false is not supported");
  }
  refuse_flag(json, "scale_attn_by_inverse_layer_idx", where);
  refuse_flag(json, "add_cross_attention", where);
}

void read_architecture(Config& config, const Json& json, const std::string& where) {
  const Json* list = json.find("architectures");
  if (list == nullptr || !list->is_array() || list->as_array().empty()) {
    fail(Kind::input, where, ": no architectures; is this the config.json of a model?");
  }
  const std::string& name = list->as_array().front().as_string();
  const bool llama = name.starts_with("LlamaFor"), gpt2 = name.starts_with("GPT2");
  const bool language = name == "LlamaForCausalLM" || name == "GPT2LMHeadModel";
  const bool scalar = name == "LlamaForSequenceClassification" || name == "GPT2ForSequenceClassification";
  if (!(llama || gpt2) || !(language || scalar)) {
    fail(Kind::input, where, ": architecture ", in_quotes(name),
         " is not supported (known: LlamaForCausalLM, ",
         "LlamaForSequenceClassification, GPT2LMHeadModel, GPT2ForSequenceClassification)");
  }
  config.family = llama ? Family::llama : Family::gpt2;
  config.head = language ? Head::language : Head::scalar;
}

void put_llama(const Config& config, Json& json) {
  json["hidden_size"] = config.dim;
  json["intermediate_size"] = config.hidden_dim;
  json["num_hidden_layers"] = config.layers;
  json["num_attention_heads"] = config.heads;
  json["num_key_value_heads"] = config.kv_heads;
  json["head_dim"] = config.head_dim;
  json["max_position_embeddings"] = config.context;
  json["rms_norm_eps"] = config.norm_epsilon;
  json["rope_theta"] = config.rope_theta;
  json["hidden_act"] = "silu";
  json["attention_bias"] = false;
  json["mlp_bias"] = false;
}

void put_gpt2(const Config& config, Json& json) {
  json["n_embd"] = config.dim;
  json["n_inner"] = config.hidden_dim;
  json["n_layer"] = config.layers;
  json["n_head"] = config.heads;
  json["n_positions"] = config.context;
  json["n_ctx"] = config.context;
  json["layer_norm_epsilon"] = config.norm_epsilon;
  json["activation_function"] = "gelu_new";
  for (const char* dropout : {"attn_pdrop", "embd_pdrop", "resid_pdrop"}) json[dropout] = 0.0;
}

}  // namespace

void Config::validate() const {
  const std::pair<const char*, int64_t> extents[] = {
      {"vocab_size", vocab_size}, {"dim", dim},           {"layers", layers},         {"heads", heads},
      {"kv_heads", kv_heads},     {"head_dim", head_dim}, {"hidden_dim", hidden_dim}, {"context", context}};
  for (const auto& [field, value] : extents) {
    if (value < 1 || value > kMaxExtent)
      fail(Kind::usage, "model: ", field, " = ", value, " is out of range");
  }
  const auto wide = [](int64_t value) { return static_cast<double>(value); };
  const double layer_size = wide(dim) * (2 * wide(heads + kv_heads) * wide(head_dim) + 3 * wide(hidden_dim));
  if (wide(layers) * layer_size + wide(dim) * (2 * wide(vocab_size) + wide(context)) > 0x1p42) {
    fail(Kind::usage, "model: more than 2^42 parameters");
  }
  if (layers > 4096) fail(Kind::usage, "model: layers = ", layers, " is more than 4096");
  if (heads > 65536 || head_dim > 65536) fail(Kind::usage, "model: heads or head_dim is more than 65536");
  if (heads % kv_heads != 0) {
    fail(Kind::usage, "model: heads (", heads, ") is not a multiple of kv_heads (", kv_heads, ")");
  }
  if (family == Family::llama && head_dim % 2 != 0) {
    fail(Kind::usage, "model: head_dim (", head_dim,
         ") must be even for rotary positions; choose dim and heads so");
  }
  if (family == Family::gpt2 && (heads * head_dim != dim || kv_heads != heads)) {
    fail(Kind::usage, "model: dim (", dim, ") is not heads × head_dim (", heads, " × ", head_dim,
         "), as GPT-2 needs");
  }
  if (!(norm_epsilon > 0) || !(rope_theta > 0))
    fail(Kind::usage, "model: norm_epsilon and rope_theta must be above 0");
}

double Config::flops_per_token() const {
  const auto width = static_cast<double>(heads * head_dim);
  return 6 * static_cast<double>(parameter_count()) +
         12 * static_cast<double>(layers) * width * static_cast<double>(context);
}

Config Config::from_json(const Json& json, const std::string& where) {
  if (!json.is_object()) fail(Kind::input, where, ": not a JSON object");
  Config config;
  try {
    read_architecture(config, json, where);
    refuse_value(json, "quantization_config", where);
    config.vocab_size = json.at("vocab_size").as_int();
    config.family == Family::llama ? read_llama(config, json, where) : read_gpt2(config, json, where);
    read_head(config, json, where);
    config.bos_token = token_or(json, "bos_token_id", 0);
    config.eos_token = token_or(json, "eos_token_id", 0);
    config.pad_token = token_or(json, "pad_token_id", config.eos_token);
    config.validate();
  } catch (const Error& error) {
    const std::string message = error.what();
    if (message.starts_with(where)) throw;
    fail(Kind::input, where, ": ", message);
  }
  return config;
}

Json Config::to_json() const {
  Json json = Json::object();
  const bool llama = family == Family::llama;
  const std::string_view tail = head == Head::scalar ? "ForSequenceClassification"
                                : llama              ? "ForCausalLM"
                                                     : "LMHeadModel";
  json["architectures"] = Json::Array{Json(str(llama ? "Llama" : "GPT2", tail))};
  json["model_type"] = llama ? "llama" : "gpt2";
  json["vocab_size"] = vocab_size;
  llama ? put_llama(*this, json) : put_gpt2(*this, json);
  json["tie_word_embeddings"] = tied;
  json["bos_token_id"] = uint64_t{bos_token};
  json["eos_token_id"] = uint64_t{eos_token};
  json["pad_token_id"] = uint64_t{pad_token};
  if (head == Head::scalar) {
    json["num_labels"] = 1;
    json["id2label"]["0"] = "LABEL_0";
    json["label2id"]["LABEL_0"] = 0;
  }
  json["torch_dtype"] = "float32";
  return json;
}

}  // namespace gristmill::model

// config.json both ways. A feature that we would compute wrongly is refused by name: a checkpoint must not
// load into a model that silently differs from the one that was trained. Where a file leaves a field out, the
// default is that of the architecture's configuration class in Hugging Face transformers.

#include <algorithm>
#include <initializer_list>
#include <span>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/str.hpp"
#include "model/config.hpp"

namespace gristmill::model {
namespace {

constexpr int64_t kMaxToken = int64_t{1} << 28;

/// An architecture by its names in config.json, and the defaults of its configuration class.
struct Architecture {
  const char* name;        ///< in front of "ForCausalLM"
  const char* model_type;  ///< "llama"
  Family family;
  bool qkv_bias, qk_norm, experts;
  bool window_is_optional;  ///< sliding_window counts only with use_sliding_window
  int64_t context, kv_heads, head_dim, sliding_window;  ///< 0: as many as heads, dim / heads, none
};

constexpr Architecture kArchitectures[] = {
    {"Llama", "llama", Family::llama, false, false, false, false, 2048, 0, 0, 0},
    {"Mistral", "mistral", Family::llama, false, false, false, false, 131072, 8, 0, 4096},
    {"Qwen2", "qwen2", Family::llama, true, false, false, true, 32768, 32, 0, 4096},
    {"Qwen3", "qwen3", Family::llama, false, true, false, true, 32768, 32, 128, 4096},
    {"Mixtral", "mixtral", Family::llama, false, false, true, false, 131072, 8, 0, 0},
    {"GPT2", "gpt2", Family::gpt2, false, false, false, false, 1024, 0, 0, 0},
};

/// The member, or null when it is absent or null.
const Json* find_value(const Json& json, std::string_view key) {
  const Json* value = json.find(key);
  return value == nullptr || value->is_null() ? nullptr : value;
}

int64_t int_or(const Json& json, std::string_view key, int64_t fallback) {
  const Json* value = find_value(json, key);
  return value == nullptr ? fallback : value->as_int();
}

double double_or(const Json& json, std::string_view key, double fallback) {
  const Json* value = find_value(json, key);
  return value == nullptr ? fallback : value->as_double();
}

bool bool_or(const Json& json, std::string_view key, bool fallback) {
  const Json* value = find_value(json, key);
  return value == nullptr ? fallback : value->as_bool();
}

/// A token id; Llama 3 lists several ends, of which the first is the one that ends a document.
uint32_t token_or(const Json& json, std::string_view key, uint32_t fallback) {
  const Json* value = find_value(json, key);
  if (value != nullptr && value->is_array() && !value->as_array().empty()) value = &value->as_array().front();
  if (value == nullptr || value->is_null() || value->is_array()) return fallback;
  const int64_t id = value->as_int();
  return id < 0 || id > kMaxToken ? fallback : static_cast<uint32_t>(id);
}

[[noreturn]] void refuse(const std::string& where, std::string_view key, const Json& value,
                         std::string_view supported) {
  std::string text = value.dump();
  if (text.size() > 100) text = text.substr(0, 97) + "...";
  fail(Kind::input, where, ": ", key, " = ", text, " is not supported, only ", supported);
}

bool same(const Json& a, const Json& b) {
  return a == b || (a.is_number() && b.is_number() && a.as_double() == b.as_double());
}

/// A field that changes what is computed, and the values that we compute. Absent and null are the neutral
/// value.
struct Fixed {
  std::string_view key;
  std::vector<Json> supported;
};

void require_fixed(const Json& json, std::initializer_list<Fixed> fields, const std::string& where) {
  for (const auto& field : fields) {
    const Json* value = find_value(json, field.key);
    if (value == nullptr) continue;
    if (std::any_of(field.supported.begin(), field.supported.end(),
                    [&](const Json& one) { return same(*value, one); }))
      continue;
    std::vector<std::string> texts;
    for (const auto& one : field.supported) texts.push_back(one.dump());
    refuse(where, field.key, *value, texts.empty() ? "null" : join(texts, " or "));
  }
}

/// Fields that no architecture of ours may carry, whatever its own class makes of them.
void refuse_foreign(const Json& json, const Architecture& architecture, const std::string& where) {
  if (!architecture.experts) require_fixed(json, {{"num_local_experts", {0}}}, where);
  require_fixed(json,
                {{"quantization_config", {}},
                 {"attn_logit_softcapping", {}},
                 {"final_logit_softcapping", {}},
                 {"clip_qkv", {}},
                 {"alibi", {false}},
                 {"parallel_residual", {false}},
                 {"use_parallel_residual", {false}},
                 {"num_experts", {0}},
                 {"logit_scale", {1}},
                 {"logits_scaling", {1}},
                 {"embedding_multiplier", {1}},
                 {"residual_multiplier", {1}},
                 {"is_encoder_decoder", {false}},
                 {"tie_encoder_decoder", {false}},
                 {"add_cross_attention", {false}}},
                where);
}

/// {"rope_type": "default", "rope_theta": …}, the older "type" included; anything else scales the angles.
void check_rope(const Json& rope, std::string_view field, const std::string& where) {
  if (!rope.is_object()) refuse(where, field, rope, "null or {\"rope_type\": \"default\"}");
  for (const auto& [key, value] : rope.as_object()) {
    const bool type = key == "rope_type" || key == "type";
    if (key == "rope_theta" || value.is_null() || (type && value == Json("default"))) continue;
    if (key == "partial_rotary_factor" && same(value, Json(1))) continue;
    if (type) refuse(where, str(field, ".", key), value, "\"default\"");
    refuse(where, field, rope, "null or {\"rope_type\": \"default\", \"rope_theta\": number}");
  }
}

/// Newer files hold the rotary base in rope_parameters, older ones beside an (absent) rope_scaling.
double read_rope(const Json& json, double fallback, const std::string& where) {
  double theta = double_or(json, "rope_theta", fallback);
  for (const char* field : {"rope_scaling", "rope_parameters"}) {
    const Json* rope = find_value(json, field);
    if (rope == nullptr) continue;
    check_rope(*rope, field, where);
    theta = double_or(*rope, "rope_theta", theta);
  }
  return theta;
}

/// A window that reaches over the whole context is none.
void check_window(const Config& config, const Json& json, const Architecture& architecture,
                  const std::string& where) {
  const Json* field = json.find("sliding_window");
  const Json fallback(architecture.sliding_window);
  const Json& value = field == nullptr ? fallback : *field;
  const bool whole = !value.is_null() && value.as_int() >= config.context;
  const std::string supported = str("null or at least the context of ", config.context);
  if (const Json* layers = find_value(json, "layer_types")) {
    for (const auto& type : layers->as_array()) {
      if (type == Json("full_attention") || (whole && type == Json("sliding_attention"))) continue;
      refuse(where, "layer_types", *layers,
             "\"full_attention\", or \"sliding_attention\" with a sliding_window not below the context");
    }
    if (architecture.window_is_optional) return;
  }
  if (value.is_null() || value.as_int() == 0 || whole) return;
  if (architecture.window_is_optional && (!bool_or(json, "use_sliding_window", false) ||
                                          int_or(json, "max_window_layers", 28) >= config.layers)) {
    return;
  }
  refuse(where, "sliding_window", value, supported);
}

void read_llama(Config& config, const Json& json, const Architecture& architecture,
                const std::string& where) {
  require_fixed(json,
                {{"attention_bias", {false}},
                 {"mlp_bias", {false}},
                 {"hidden_act", {"silu", "swish"}},
                 {"partial_rotary_factor", {1}},
                 {"rope_interleaved", {false}}},
                where);
  config.dim = json.at("hidden_size").as_int();
  config.layers = json.at("num_hidden_layers").as_int();
  config.heads = json.at("num_attention_heads").as_int();
  const bool says_kv = json.find("num_key_value_heads") != nullptr;
  config.kv_heads = int_or(json, "num_key_value_heads",
                           says_kv || architecture.kv_heads == 0 ? config.heads : architecture.kv_heads);
  const int64_t even = config.heads > 0 ? config.dim / config.heads : 0;
  const bool says_dim = json.find("head_dim") != nullptr;
  config.head_dim =
      int_or(json, "head_dim", says_dim || architecture.head_dim == 0 ? even : architecture.head_dim);
  config.hidden_dim = json.at("intermediate_size").as_int();
  config.context = int_or(json, "max_position_embeddings", architecture.context);
  config.norm_epsilon = double_or(json, "rms_norm_eps", architecture.experts ? 1e-5 : 1e-6);
  config.rope_theta = read_rope(json, architecture.experts ? 1e6 : 10000, where);
  config.tied = bool_or(json, "tie_word_embeddings", false);
  check_window(config, json, architecture, where);
  if (!architecture.experts) return;
  // Noise of the router, as dropout, is of another program's training: what the model computes is the same.
  config.experts = int_or(json, "num_local_experts", 8);
  config.experts_per_token = int_or(json, "num_experts_per_tok", 2);
  config.router_balance = double_or(json, "router_aux_loss_coef", 0.001);
  if (config.experts < 1) refuse(where, "num_local_experts", Json(config.experts), "1 or more");
}

void read_gpt2(Config& config, const Json& json, const Architecture& architecture, const std::string& where) {
  require_fixed(json,
                {{"activation_function", {"gelu_new", "gelu_pytorch_tanh"}},
                 {"scale_attn_weights", {true}},
                 {"scale_attn_by_inverse_layer_idx", {false}}},
                where);
  config.dim = json.at("n_embd").as_int();
  config.layers = json.at("n_layer").as_int();
  config.heads = json.at("n_head").as_int();
  config.kv_heads = config.heads;
  config.head_dim = config.heads > 0 ? config.dim / config.heads : 0;
  config.hidden_dim = int_or(json, "n_inner", config.dim > kMaxToken ? 0 : 4 * config.dim);
  config.context = int_or(json, "n_positions", architecture.context);
  config.norm_epsilon = double_or(json, "layer_norm_epsilon", 1e-5);
  config.tied = bool_or(json, "tie_word_embeddings", true);
}

void read_labels(const Json& json, const std::string& where) {
  const Json* labels = json.find("id2label");
  const int64_t count = labels != nullptr && labels->is_object()
                            ? static_cast<int64_t>(labels->as_object().size())
                            : int_or(json, "num_labels", 2);
  if (count != 1)
    fail(Kind::input, where, ": a classifier of ", count, " labels is not supported, only one of 1");
}

std::string class_name(const Architecture& architecture, Head head) {
  if (head == Head::scalar) return str(architecture.name, "ForSequenceClassification");
  return str(architecture.name, architecture.family == Family::gpt2 ? "LMHeadModel" : "ForCausalLM");
}

const Architecture& read_architecture(Config& config, const Json& json, const std::string& where) {
  const Json* list = json.find("architectures");
  if (list == nullptr || !list->is_array() || list->as_array().empty()) {
    fail(Kind::input, where, ": no architectures; is this the config.json of a model?");
  }
  const std::string& name = list->as_array().front().as_string();
  std::vector<std::string> known;
  for (const auto& architecture : kArchitectures) {
    for (const Head head : {Head::language, Head::scalar}) {
      known.push_back(class_name(architecture, head));
      if (name != known.back()) continue;
      const Json* type = find_value(json, "model_type");
      if (type != nullptr && *type != Json(architecture.model_type)) {
        fail(Kind::input, where, ": model_type = ", type->dump(), " does not go with architecture ", name,
             ", only \"", architecture.model_type, "\"");
      }
      config.family = architecture.family;
      config.qkv_bias = architecture.qkv_bias;
      config.qk_norm = architecture.qk_norm;
      config.head = head;
      return architecture;
    }
  }
  fail(Kind::input, where, ": architecture ", in_quotes(name),
       " is not supported (known: ", join(known, ", "), ")");
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
  if (config.experts > 0) {
    json["num_local_experts"] = config.experts;
    json["num_experts_per_tok"] = config.experts_per_token;
    json["router_aux_loss_coef"] = config.router_balance;
    json["sliding_window"] = nullptr;
    return;
  }
  if (config.qkv_bias || config.qk_norm) {
    json["use_sliding_window"] = false;
    json["sliding_window"] = nullptr;
    json["max_window_layers"] = config.layers;
  }
  if (!config.qkv_bias) json["attention_bias"] = false;
  if (!config.qkv_bias && !config.qk_norm) json["mlp_bias"] = false;
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

/// The first that computes what the configuration says; Mistral without its window is Llama.
const Architecture& architecture_of(const Config& config) {
  const auto found =
      std::find_if(std::begin(kArchitectures), std::end(kArchitectures), [&](const Architecture& one) {
        return one.family == config.family && one.qkv_bias == config.qkv_bias &&
               one.qk_norm == config.qk_norm && one.experts == (config.experts > 0);
      });
  if (found == std::end(kArchitectures)) fail(Kind::internal, "a configuration of no known architecture");
  return *found;
}

}  // namespace

Config Config::from_json(const Json& json, const std::string& where) {
  if (!json.is_object()) fail(Kind::input, where, ": not a JSON object");
  Config config;
  try {
    const Architecture& architecture = read_architecture(config, json, where);
    refuse_foreign(json, architecture, where);
    config.vocab_size = json.at("vocab_size").as_int();
    config.family == Family::llama ? read_llama(config, json, architecture, where)
                                   : read_gpt2(config, json, architecture, where);
    if (config.head == Head::scalar) read_labels(json, where);
    config.bos_token = token_or(json, "bos_token_id", 0);
    config.eos_token = token_or(json, "eos_token_id", 0);
    config.pad_token = token_or(json, "pad_token_id", config.eos_token);
    config.zero_init = bool_or(json, "gristmill_zero_init", false);
    config.mup_base_dim = int_or(json, "gristmill_mup_base_dim", 0);
    config.validate();
  } catch (const Error& error) {
    const std::string message = error.what();
    if (message.starts_with(where)) throw;
    fail(Kind::input, where, ": ", message);
  }
  return config;
}

Json Config::to_json() const {
  const Architecture& architecture = architecture_of(*this);
  Json json = Json::object();
  json["architectures"] = Json::Array{Json(class_name(architecture, head))};
  json["model_type"] = architecture.model_type;
  json["vocab_size"] = vocab_size;
  family == Family::llama ? put_llama(*this, json) : put_gpt2(*this, json);
  json["tie_word_embeddings"] = tied;
  json["bos_token_id"] = uint64_t{bos_token};
  json["eos_token_id"] = uint64_t{eos_token};
  json["pad_token_id"] = uint64_t{pad_token};
  if (head == Head::scalar) {
    json["num_labels"] = 1;
    json["id2label"]["0"] = "LABEL_0";
    json["label2id"]["LABEL_0"] = 0;
  }
  if (zero_init) json["gristmill_zero_init"] = true;
  if (mup_base_dim != 0) json["gristmill_mup_base_dim"] = mup_base_dim;
  json["torch_dtype"] = "float32";
  return json;
}

}  // namespace gristmill::model

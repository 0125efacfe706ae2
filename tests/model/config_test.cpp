// config.json: what is read, what is refused and by what words.

#include "model/config.hpp"

#include <cstdint>
#include <string>

#include "base/error.hpp"
#include "base/json.hpp"
#include "model/model_fixtures.hpp"
#include "support/catch.hpp"
#include "support/data.hpp"

using namespace gristmill;

namespace {

Json llama_json() { return test::small_llama(false).to_json(); }

void check_config_refused(const std::string& key, const Json& value, const std::string& message) {
  Json json = llama_json();
  json[key] = value;
  INFO(key);
  CHECK_THROWS_WITH(model::Config::from_json(json, "config.json"), test::contains(message));
}

}  // namespace

TEST_CASE("a configuration survives config.json", "[model]") {
  model::Config config = test::small_llama(false);
  config.bos_token = 3;
  config.eos_token = 4;
  config.pad_token = 5;
  config.rope_theta = 500000;
  config.zero_init = true;
  config.mup_base_dim = 12;
  for (const auto head : {model::Head::language, model::Head::scalar}) {
    config.head = head;
    CHECK(model::Config::from_json(Json::parse(config.to_json().dump()), "test") == config);
    model::Config other = test::small_gpt2();
    other.head = head;
    CHECK(model::Config::from_json(Json::parse(other.to_json().dump()), "test") == other);
    model::Config sparse = test::small_experts();
    sparse.head = head;
    sparse.experts_per_token = 3;
    sparse.router_balance = 0.02;
    CHECK(model::Config::from_json(Json::parse(sparse.to_json().dump()), "test") == sparse);
  }
}

TEST_CASE("configurations of Qwen and Mistral are read with their defaults", "[model]") {
  Json json = llama_json();
  json.erase("attention_bias");
  json["architectures"] = Json::parse(R"(["Qwen2ForCausalLM"])");
  json["model_type"] = "qwen2";
  json["sliding_window"] = 8;
  json["use_sliding_window"] = false;
  const auto qwen2 = model::Config::from_json(json, "x");
  CHECK(qwen2.qkv_bias);
  CHECK(!qwen2.qk_norm);
  json["architectures"] = Json::parse(R"(["Qwen3ForCausalLM"])");
  json["model_type"] = "qwen3";
  json["layer_types"] = Json::parse(R"(["full_attention","full_attention"])");
  CHECK(model::Config::from_json(json, "x").qk_norm);
  json.erase("head_dim");
  CHECK(model::Config::from_json(json, "x").head_dim == 128);
  json = llama_json();
  json["architectures"] = Json::parse(R"(["MistralForCausalLM"])");
  json["model_type"] = "mistral";
  json["head_dim"] = nullptr;
  const auto mistral = model::Config::from_json(json, "x");  // its window of 4096 is wider than the context
  CHECK(mistral.head_dim == 6);
  CHECK(mistral == test::small_llama(false));
  json["sliding_window"] = nullptr;
  json["max_position_embeddings"] = 8192;
  CHECK(model::Config::from_json(json, "x").context == 8192);
  json.erase("sliding_window");
  CHECK_THROWS_WITH(model::Config::from_json(json, "x"),
                    "x: sliding_window = 4096 is not supported, only null or at least the context of 8192");
}

TEST_CASE("a configuration of Mixtral is read with its defaults, and what is not built is refused",
          "[model]") {
  Json json = test::small_experts().to_json();
  for (const char* key : {"num_local_experts", "num_experts_per_tok", "router_aux_loss_coef", "rope_theta",
                          "rms_norm_eps", "sliding_window", "num_key_value_heads"})
    json.erase(key);
  json["num_attention_heads"] = 8;
  json["router_jitter_noise"] = 0.1;  // of training elsewhere, as dropout is
  json["output_router_logits"] = true;
  const auto config = model::Config::from_json(json, "x");
  CHECK(config.experts == 8);
  CHECK(config.experts_per_token == 2);
  CHECK(config.router_balance == 0.001);
  CHECK(config.rope_theta == 1e6);
  CHECK(config.norm_epsilon == 1e-5);
  CHECK(config.kv_heads == 8);
  const auto refused = [&](const char* key, const Json& value, const char* message) {
    Json other = json;
    other[key] = value;
    INFO(key);
    CHECK_THROWS_WITH(model::Config::from_json(other, "x"), test::contains(message));
  };
  refused("sliding_window", 16, "sliding_window = 16 is not supported");
  refused("num_local_experts", 0, "num_local_experts");
  refused("num_local_experts", 2000, "experts = 2000 is not between");
  refused("num_experts_per_tok", 9, "experts_per_token = 9 is not between 1 and the 8 experts");
  refused("num_experts_per_tok", 0, "experts_per_token = 0");
  refused("router_aux_loss_coef", -1, "router_balance");
  refused("hidden_act", "gelu", "hidden_act");
  refused("rope_parameters", Json::parse(R"({"rope_type":"yarn"})"), "yarn");
  json["architectures"] = Json::parse(R"(["Qwen3MoeForCausalLM"])");
  CHECK_THROWS_WITH(model::Config::from_json(json, "x"), test::contains("Qwen3MoeForCausalLM"));
}

TEST_CASE("experts go with no other option of the architecture", "[model]") {
  for (const int kind : {0, 1, 2}) {
    model::Config config = test::small_experts();
    if (kind == 0) config.qk_norm = true;
    if (kind == 1) config.qkv_bias = true;
    if (kind == 2) config.family = model::Family::gpt2;
    config.kv_heads = config.heads;
    CHECK_THROWS_WITH(config.validate(), test::contains("only as in Mixtral"));
  }
}

TEST_CASE("a field that changes the mathematics is refused with its value and what is supported", "[model]") {
  const auto refused = [](const char* architecture, const char* key, const char* value,
                          const char* supported) {
    Json json = architecture == std::string("GPT2LMHeadModel") ? test::small_gpt2().to_json() : llama_json();
    json["architectures"] = Json::Array{Json(architecture)};
    json.erase("model_type");
    json[key] = Json::parse(value);
    INFO(key);
    CHECK_THROWS_WITH(model::Config::from_json(json, "c"), test::contains(key));
    CHECK_THROWS_WITH(model::Config::from_json(json, "c"), test::contains(supported));
  };
  const char* llama = "LlamaForCausalLM";
  refused(llama, "attention_bias", "true", "= true is not supported, only false");
  refused("Qwen3ForCausalLM", "attention_bias", "true", "only false");
  refused(llama, "mlp_bias", "true", "only false");
  refused(llama, "hidden_act", "\"gelu\"", R"(= "gelu" is not supported, only "silu" or "swish")");
  refused(llama, "partial_rotary_factor", "0.5", "= 0.5 is not supported, only 1");
  refused(llama, "rope_scaling", R"({"type":"linear","factor":2.0})", R"(.type = "linear" is not supported)");
  refused(llama, "rope_parameters", R"({"rope_type":"default","partial_rotary_factor":0.25})",
          "only null or");
  refused(llama, "rope_parameters", R"({"full_attention":{"rope_type":"default"}})", "only null or");
  refused(llama, "rope_scaling", "2.0", "only null or");
  refused(llama, "sliding_window", "31", "at least the context of 32");
  refused("MistralForCausalLM", "sliding_window", "31", "at least the context of 32");
  refused(llama, "layer_types", R"(["linear_attention","full_attention"])", "linear_attention");
  refused(llama, "attn_logit_softcapping", "50.0", "only null");
  refused(llama, "final_logit_softcapping", "30.0", "only null");
  refused(llama, "logit_scale", "0.0625", "only 1");
  refused(llama, "embedding_multiplier", "12.0", "only 1");
  refused(llama, "num_local_experts", "8", "only 0");
  const char* gpt2 = "GPT2LMHeadModel";
  refused(gpt2, "activation_function", "\"gelu\"", "gelu_new");
  refused(gpt2, "scale_attn_weights", "false", "only true");
  refused(gpt2, "scale_attn_by_inverse_layer_idx", "true", "only false");
  refused(gpt2, "add_cross_attention", "true", "only false");
  Json json = llama_json();
  json["model_type"] = "mistral";
  CHECK_THROWS_WITH(
      model::Config::from_json(json, "c"),
      test::contains("model_type = \"mistral\" does not go with architecture LlamaForCausalLM"));
  json = llama_json();
  json["architectures"] = Json::parse(R"(["Qwen2ForCausalLM"])");
  json["model_type"] = "qwen2";
  json["use_sliding_window"] = true;
  json["sliding_window"] = 16;
  json["max_window_layers"] = 1;
  CHECK_THROWS_WITH(model::Config::from_json(json, "c"), test::contains("sliding_window = 16"));
  json["max_window_layers"] = 2;  // of two layers: none has a window
  CHECK_NOTHROW(model::Config::from_json(json, "c"));
  json["layer_types"] = Json::parse(R"(["full_attention","sliding_attention"])");
  CHECK_THROWS_WITH(
      model::Config::from_json(json, "c"),
      test::contains(R"(layer_types = ["full_attention","sliding_attention"] is not supported)"));
  json["sliding_window"] = 32;
  CHECK_NOTHROW(model::Config::from_json(json, "c"));
}

TEST_CASE("absurd sizes are refused before anything is allocated", "[model]") {
  const auto refused = [](const char* key, int64_t value, const char* message) {
    Json json = llama_json();
    json[key] = value;
    INFO(key << " " << value);
    CHECK_THROWS_WITH(model::Config::from_json(json, "c"), test::contains(message));
  };
  refused("hidden_size", (int64_t{1} << 20) + 2, "more than 2^20");
  refused("intermediate_size", (int64_t{1} << 20) + 1, "more than 2^20");
  refused("num_hidden_layers", 4097, "more than 4096");
  refused("num_hidden_layers", 0, "out of range");
  refused("head_dim", int64_t{1} << 19, "more than 2^20");
  refused("num_attention_heads", INT64_MAX, "out of range");
  refused("max_position_embeddings", INT64_MAX, "out of range");
  Json gpt2 = test::small_gpt2().to_json();
  gpt2.erase("n_inner");
  gpt2["n_embd"] = INT64_MAX / 2;
  CHECK_THROWS_WITH(model::Config::from_json(gpt2, "c"), test::contains("out of range"));
  Json large = llama_json();
  for (const char* key : {"hidden_size", "intermediate_size"}) large[key] = int64_t{1} << 20;
  large["num_hidden_layers"] = 4096;
  CHECK_THROWS_WITH(model::Config::from_json(large, "c"), test::contains("more than 2^42 parameters"));
  Json sparse = test::small_experts().to_json();  // few parameters, and so many tensors as the limits allow
  sparse["num_hidden_layers"] = 4096;
  sparse["num_local_experts"] = 17;
  CHECK_THROWS_WITH(model::Config::from_json(sparse, "c"),
                    test::contains("layers × experts (4096 × 17) is more than 2^16"));
  sparse["num_local_experts"] = 16;
  CHECK_NOTHROW(model::Config::from_json(sparse, "c"));
}

TEST_CASE("an unsupported feature is refused by its name", "[model]") {
  check_config_refused("attention_bias", true, "attention_bias");
  check_config_refused("mlp_bias", true, "mlp_bias");
  check_config_refused("rope_scaling", Json::parse(R"({"rope_type":"llama3","factor":8})"), "rope_scaling");
  check_config_refused("rope_parameters", Json::parse(R"({"rope_type":"yarn"})"), "yarn");
  check_config_refused("quantization_config", Json::parse(R"({"bits":4})"), "quantization_config");
  check_config_refused("hidden_act", "relu", "hidden_act");
  check_config_refused("architectures", Json::parse(R"(["MambaForCausalLM"])"), "MambaForCausalLM");
  check_config_refused("num_attention_heads", 5, "multiple of kv_heads");
  check_config_refused("hidden_size", -1, "out of range");
  check_config_refused("vocab_size", int64_t{1} << 60, "out of range");
  check_config_refused("num_hidden_layers", "two", "config.json");
  Json gpt2 = test::small_gpt2().to_json();
  gpt2["activation_function"] = "relu";
  CHECK_THROWS_WITH(model::Config::from_json(gpt2, "x"), test::contains("activation_function"));
  gpt2["activation_function"] = "gelu_new";
  gpt2["scale_attn_by_inverse_layer_idx"] = true;
  CHECK_THROWS_WITH(model::Config::from_json(gpt2, "x"), test::contains("scale_attn_by_inverse_layer_idx"));
  Json classifier = llama_json();
  classifier["architectures"] = Json::parse(R"(["LlamaForSequenceClassification"])");
  CHECK_THROWS_WITH(model::Config::from_json(classifier, "x"), test::contains("2 labels"));
}

TEST_CASE("the rotary base is read from rope_parameters too", "[model]") {
  Json json = llama_json();
  json.erase("rope_theta");
  json["rope_parameters"] = Json::parse(R"({"rope_type":"default","rope_theta":250000.0})");
  CHECK(model::Config::from_json(json, "x").rope_theta == 250000);
}

#include "model/model_directory.hpp"

#include <cmath>
#include <filesystem>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/hash.hpp"
#include "base/json.hpp"
#include "model/model_fixtures.hpp"
#include "model/safetensors.hpp"
#include "support/catch.hpp"
#include "support/data.hpp"
#include "support/scratch.hpp"

using namespace gristmill;
namespace fs = std::filesystem;

namespace {

/// A model directory whose tensors a test may change before it is loaded.
class EditableModel {
 public:
  explicit EditableModel(const model::Config& config)
      : device_(runtime::open_reference_device(runtime::DType::f32)) {
    model::Transformer model(*device_, config);
    test::randomize(model, 21);
    model::save_model(model, folder_.path().string());
    const model::SafetensorsReader reader(folder_.file("model.safetensors"));
    for (const auto& [name, info] : reader.tensors()) tensors_[name] = {info.shape, reader.read_float(name)};
  }
  struct Tensor {
    std::vector<int64_t> shape;
    std::vector<float> values;
  };
  std::map<std::string, Tensor>& tensors() { return tensors_; }
  const test::ScratchFolder& folder() const { return folder_; }
  void write() const {
    write_as(folder_.file("model.safetensors"), [](const std::string&) { return true; });
  }
  template <class Wanted>
  void write_as(const std::string& path, Wanted&& wanted) const {
    model::SafetensorsWriter writer;
    for (const auto& [name, tensor] : tensors_) {
      if (wanted(name)) writer.add(name, tensor.shape, tensor.values);
    }
    writer.write(path);
  }
  std::vector<double> hidden(model::Head head = model::Head::language) {
    const auto model = model::load_model(*device_, folder_.path().string(), head);
    model::Batch batch;
    batch.add(test::random_ids(9, model->config().vocab_size, 1));
    return runtime::read_real(*device_, model->forward(batch, false));
  }

 private:
  std::unique_ptr<runtime::Device> device_;
  test::ScratchFolder folder_;
  std::map<std::string, Tensor> tensors_;
};

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
  for (const auto head : {model::Head::language, model::Head::scalar}) {
    config.head = head;
    CHECK(model::Config::from_json(Json::parse(config.to_json().dump()), "test") == config);
    model::Config other = test::small_gpt2();
    other.head = head;
    CHECK(model::Config::from_json(Json::parse(other.to_json().dump()), "test") == other);
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
}

TEST_CASE("what was saved loads as the same model and saves as the same bytes", "[model]") {
  const std::pair<model::Config, const char*> cases[] = {{test::small_llama(true), "LlamaForCausalLM"},
                                                         {test::small_biased(), "Qwen2ForCausalLM"},
                                                         {test::small_normed(), "Qwen3ForCausalLM"},
                                                         {test::small_gpt2(), "GPT2LMHeadModel"}};
  const auto device = runtime::open_reference_device(runtime::DType::f32);
  for (auto [config, architecture] : cases) {
    config.zero_init = true;
    model::Transformer model(*device, config);
    test::randomize(model, 3);
    for (const auto type : {model::StoredType::f32, model::StoredType::f16, model::StoredType::bf16}) {
      for (const uint64_t limit : {0, 6000}) {
        const test::ScratchFolder first, second;
        const model::SaveOptions options{type, limit};
        model::save_model(model, first.path().string(), "", options);
        const auto again = model::load_model(*device, first.path().string());
        CHECK(again->config() == config);
        model::save_model(*again, second.path().string(), "", options);
        int64_t files = 0;
        for (const auto& entry : fs::directory_iterator(first.path())) {
          INFO(architecture << " " << entry.path());
          CHECK(read_file(entry.path().string()) ==
                read_file((second.path() / entry.path().filename()).string()));
          ++files;
        }
        CHECK((limit == 0 ? files == 3 : files > 4));
        CHECK(read_json_file(first.file("config.json")).at("architectures").as_array().front() ==
              Json(architecture));
      }
    }
  }
}

TEST_CASE("a save in another form replaces the one that was there", "[model]") {
  const auto device = runtime::open_reference_device(runtime::DType::f32);
  model::Transformer model(*device, test::small_llama(true));
  const test::ScratchFolder folder;
  for (const uint64_t limit : {uint64_t{0}, uint64_t{6000}, uint64_t{0}}) {
    test::randomize(model, limit + 1);
    model::save_model(model, folder.path().string(), "", {model::StoredType::f32, limit});
    CHECK(runtime::read_float(*device,
                              model::load_model(*device, folder.path().string())->parameters().all()) ==
          runtime::read_float(*device, model.parameters().all()));
  }
}

TEST_CASE("config.json names the tokenizer that was saved beside the weights", "[model]") {
  const auto device = runtime::open_reference_device(runtime::DType::f32);
  const model::Transformer model(*device, test::small_llama(true));
  const test::ScratchFolder folder;
  model::save_model(model, folder.path().string());
  CHECK(model::tokenizer_hash(folder.path().string()).empty());
  const std::string file = folder.file("mine.json");
  write_file(file, "{}");
  model::save_model(model, folder.path().string(), file);
  CHECK(model::tokenizer_hash(folder.path().string()) == xxh128_hex("{}"));
  CHECK(read_file(folder.file("tokenizer.json")) == "{}");
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

TEST_CASE("a missing, misshapen, unknown or non-finite tensor is named", "[model]") {
  const std::string name = "model.layers.1.mlp.up_proj.weight";
  const auto refused = [&](const char* message, const auto& edit) {
    EditableModel files(test::small_llama(false));
    edit(files.tensors());
    files.write();
    CHECK_THROWS_WITH(files.hidden(), test::contains(message));
  };
  refused("model.layers.1.mlp.up_proj.weight is missing", [&](auto& tensors) { tensors.erase(name); });
  refused("lm_head.weight is missing", [&](auto& tensors) { tensors.erase("lm_head.weight"); });
  refused("up_proj.weight has shape [24, 40]", [&](auto& tensors) { tensors[name].shape = {24, 40}; });
  refused("up_proj.weight holds nan at element 5",
          [&](auto& tensors) { tensors[name].values[5] = std::numeric_limits<float>::quiet_NaN(); });
  refused("up_proj.weight holds inf", [&](auto& tensors) { tensors[name].values[5] = INFINITY; });
  refused("q_norm.weight is none of this architecture's", [&](auto& tensors) {
    tensors["model.layers.0.self_attn.q_norm.weight"] = {{6}, std::vector<float>(6, 1)};
  });
  refused("this is a reward model", [&](auto& tensors) {
    tensors["score.weight"] = {{1, 24}, std::vector<float>(24, 1)};
  });
}

TEST_CASE("what a configuration claims is compared with the file before memory is asked for", "[model]") {
  EditableModel files(test::small_llama(false));
  Json json = llama_json();
  json["vocab_size"] = int64_t{1} << 28;
  json["hidden_size"] = int64_t{1} << 12;  // two tables of 4 TiB
  write_file(files.folder().file("config.json"), json.dump());
  CHECK_THROWS_WITH(files.hidden(), test::contains("[37, 24]; the configuration needs [268435456, 4096]"));
}

TEST_CASE("names without the body's prefix, stored masks and a stored tied head are accepted", "[model]") {
  EditableModel files(test::small_gpt2());
  const auto expected = files.hidden();
  std::map<std::string, EditableModel::Tensor> renamed;
  for (const auto& [name, tensor] : files.tensors())
    renamed[name.substr(std::string("transformer.").size())] = tensor;
  renamed["h.0.attn.bias"] = {{1, 1, 2, 2}, {1, 0, 1, 1}};
  renamed["lm_head.weight"] = renamed["wte.weight"];
  files.tensors() = renamed;
  files.write();
  CHECK(files.hidden() == expected);
}

TEST_CASE("weights in several files are found by the index", "[model]") {
  EditableModel files(test::small_llama(true));
  const auto expected = files.hidden();
  fs::remove(files.folder().path() / "model.safetensors");
  Json index = Json::object();
  for (const auto& [name, tensor] : files.tensors()) {
    index["weight_map"][name] =
        name.find("layers.0") == std::string::npos ? "b.safetensors" : "a.safetensors";
  }
  const auto is_first = [](const std::string& name) { return name.find("layers.0") != std::string::npos; };
  files.write_as((files.folder().path() / "a.safetensors").string(), is_first);
  files.write_as((files.folder().path() / "b.safetensors").string(),
                 [&](const auto& name) { return !is_first(name); });
  const std::string path = (files.folder().path() / "model.safetensors.index.json").string();
  write_file(path, index.dump());
  CHECK(files.hidden() == expected);
  index["weight_map"]["model.norm.weight"] = "../b.safetensors";
  write_file(path, index.dump());
  CHECK_THROWS_WITH(files.hidden(), test::contains("is no name of a file in the folder"));
  index["weight_map"]["model.norm.weight"] = "b.safetensors";
  index["weight_map"]["ghost"] = "b.safetensors";
  write_file(path, index.dump());
  CHECK_THROWS_WITH(files.hidden(), test::contains("\"ghost\" is in no file"));
  index["weight_map"].erase("ghost");
  index["weight_map"]["model.norm.weight"] = "a.safetensors";
  write_file(path, index.dump());
  CHECK_THROWS_WITH(files.hidden(),
                    test::contains("\"model.norm.weight\" is not in a.safetensors but in another file"));
  index["weight_map"].erase("model.norm.weight");
  write_file(path, index.dump());
  CHECK_THROWS_WITH(files.hidden(), test::contains("does not name"));
  for (const char* name : {"", "..", "/etc/passwd", "a\\b", "sub/a.safetensors"}) {
    index["weight_map"]["model.norm.weight"] = name;
    write_file(path, index.dump());
    CHECK_THROWS_WITH(files.hidden(), test::contains("is no name of a file in the folder"));
  }
  write_file(path, R"({"weight_map": 3})");
  CHECK_THROWS_WITH(files.hidden(), test::contains("no object weight_map"));
  for (int i = 0; i < 600; ++i) index["weight_map"][str("t", i)] = str("f", i);
  write_file(path, index.dump());
  CHECK_THROWS_WITH(files.hidden(), test::contains("more than 512 files"));
}

TEST_CASE("a language model becomes a reward model with the same body and a fresh score, and is saved as one",
          "[model]") {
  EditableModel files(test::small_llama(true));
  const auto expected = files.hidden();
  CHECK(files.hidden(model::Head::scalar) == expected);
  const auto device = runtime::open_reference_device(runtime::DType::f32);
  const auto reward = model::load_model(*device, files.folder().path().string(), model::Head::scalar, 5);
  const auto score = runtime::read_real(*device, reward->parameters().view("score.weight"));
  double square = 0;
  for (const double value : score) square += value * value;
  CHECK(square > 0.2);
  CHECK(square < 5);  // 24 draws of N(0, 1/25)
  const test::ScratchFolder folder;
  model::save_model(*reward, folder.path().string());
  const auto again = model::load_model(*device, folder.path().string(), model::Head::scalar);
  CHECK(runtime::read_real(*device, again->parameters().all()) ==
        runtime::read_real(*device, reward->parameters().all()));
  CHECK_THROWS_WITH(model::load_model(*device, folder.path().string()), test::contains("reward model"));
}

TEST_CASE("a run directory serves as its last complete checkpoint", "[model]") {
  const test::ScratchFolder folder;
  CHECK_THROWS_WITH(model::resolve_model_directory(folder.path().string()),
                    test::contains("checkpoints/step-N"));
  for (const char* step : {"step-9", "step-10", "step-99", ".saving-100"}) {
    fs::create_directories(folder.path() / "checkpoints" / step);
  }
  for (const char* step : {"step-9", "step-10", ".saving-100"}) {
    write_file((folder.path() / "checkpoints" / step / "config.json").string(), "{}");
  }
  CHECK(model::resolve_model_directory(folder.path().string()) ==
        (folder.path() / "checkpoints" / "step-10").string());
}

TEST_CASE("initial weights follow the table and depend on the seed alone", "[model]") {
  const auto config = test::small_llama(false);
  const auto first = runtime::open_reference_device(runtime::DType::f64),
             second = runtime::open_device("cpu", 2);
  model::ParameterSet a(*first, model::parameter_table(config)), b(*second, model::parameter_table(config));
  model::initialize(a, 3);
  model::initialize(b, 3);
  CHECK(runtime::read_real(*first, a.all()) == runtime::read_real(*second, b.all()));
  model::initialize(b, 4);
  CHECK(runtime::read_real(*first, a.all()) != runtime::read_real(*second, b.all()));
  const auto spread = [&](const std::string& name) {
    double square = 0;
    const auto values = runtime::read_real(*first, a.view(name));
    for (const double value : values) square += value * value;
    return std::sqrt(square / static_cast<double>(values.size()));
  };
  CHECK(spread("model.embed_tokens.weight") == Approx(0.02).epsilon(0.1));
  CHECK(spread("model.layers.0.self_attn.o_proj.weight") == Approx(0.01).epsilon(0.1));
  CHECK(spread("model.norm.weight") == 1);
  int64_t count = 0;
  for (const auto& info : a.table()) count += info.size();
  CHECK(config.parameter_count() == count);
}

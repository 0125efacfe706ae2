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

}  // namespace

TEST_CASE("what was saved loads as the same model and saves as the same bytes", "[model]") {
  const std::pair<model::Config, const char*> cases[] = {{test::small_llama(true), "LlamaForCausalLM"},
                                                         {test::small_biased(), "Qwen2ForCausalLM"},
                                                         {test::small_normed(), "Qwen3ForCausalLM"},
                                                         {test::small_experts(), "MixtralForCausalLM"},
                                                         {test::small_gpt2(), "GPT2LMHeadModel"}};
  const auto device = runtime::open_reference_device(runtime::DType::f32);
  for (auto [config, architecture] : cases) {
    config.zero_init = true;
    model::Transformer model(*device, config);
    test::randomize(model, 3);
    for (const model::SaveOptions options :
         {model::SaveOptions{model::StoredType::f32, 0}, model::SaveOptions{model::StoredType::f16, 0},
          model::SaveOptions{model::StoredType::bf16, 9000}}) {
      const test::ScratchFolder first, second;
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
      CHECK((options.max_file_bytes == 0 ? files == 3 : files > 4));
      CHECK(read_json_file(first.file("config.json")).at("architectures").as_array().front() ==
            Json(architecture));
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
  files.tensors()["lm_head.weight"].values[3] += 1;
  files.write();
  CHECK_THROWS_WITH(files.hidden(),
                    test::contains("lm_head.weight differs from wte.weight, but tie_word_embeddings = true"));
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
  model::Config still = config;
  still.zero_init = true;
  for (const auto& info : model::parameter_table(still)) {
    INFO(info.name);
    const bool writes = info.name.ends_with("o_proj.weight") || info.name.ends_with("down_proj.weight");
    CHECK((info.initial_std == 0 && !info.initial_one) == writes);
  }
  int64_t count = 0;
  for (const auto& info : a.table()) count += info.size();
  CHECK(config.parameter_count() == count);
}

// Our half of scripts/interop-check, which names a folder in GRISTMILL_INTEROP. Hidden: it needs the other
// half.
//
// Each subfolder is a case: a model directory, and ids.json with one list of ids. The first test makes the
// cases of ours, the second writes each case's logits (or rewards), rows × columns, to gristmill.safetensors,
// and with experts the load-balance loss ("aux_loss").

#include <cstdlib>
#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/file.hpp"
#include "base/json.hpp"
#include "model/model_directory.hpp"
#include "model/model_fixtures.hpp"
#include "model/safetensors.hpp"
#include "support/catch.hpp"

using namespace gristmill;
namespace fs = std::filesystem;

namespace {

fs::path interop_folder() {
  const char* folder = std::getenv("GRISTMILL_INTEROP");
  REQUIRE(folder != nullptr);
  return folder;
}

struct Case {
  std::string name;
  model::Config config;
  model::SaveOptions options;
};

std::vector<Case> cases() {
  const auto f32 = model::StoredType::f32;
  std::vector<Case> all = {
      {"llama", test::small_llama(false), {}},
      {"llama-tied-bf16-files", test::small_llama(true), {model::StoredType::bf16, 6000}},
      {"qwen2", test::small_biased(), {}},
      {"qwen3", test::small_normed(), {}},
      {"qwen3-f16", test::small_normed(), {model::StoredType::f16, 0}},
      {"mixtral", test::small_experts(), {}},
      {"mixtral-tied-bf16-files", test::small_experts(true), {model::StoredType::bf16, 6000}},
      {"gpt2", test::small_gpt2(), {}},
      {"gpt2-untied-files", test::small_gpt2(), {f32, 6000}}};
  all.back().config.tied = false;
  for (const auto& config : {test::small_llama(false), test::small_biased(), test::small_normed(),
                             test::small_experts(), test::small_gpt2()}) {
    all.push_back({config.to_json().at("model_type").as_string() + "-reward", config, {}});
    all.back().config.head = model::Head::scalar;
  }
  for (auto& one : all) {
    one.config.rope_theta = 5000;
    one.config.pad_token = one.config.eos_token = 36;  // no case's ids have it: nothing is padding
  }
  return all;
}

std::vector<uint32_t> ids_of(const fs::path& folder) {
  std::vector<uint32_t> ids;
  const Json list = read_json_file((folder / "ids.json").string());
  for (const auto& id : list.as_array()) ids.push_back(static_cast<uint32_t>(id.as_int()));
  return ids;
}

void write_logits(runtime::Device& device, const fs::path& folder) {
  const auto head = model::load_config(folder.string()).head;
  const auto model = model::load_model(device, folder.string(), head);
  model::Batch batch;
  batch.add(ids_of(folder));
  const bool experts = model->config().experts > 0;
  const auto hidden = model->forward(batch, experts);
  const bool scalar = head == model::Head::scalar;
  const int64_t columns = scalar ? 1 : model->config().vocab_size;
  const runtime::Buffer logits(device, device.real(), hidden.rows, columns);
  scalar ? model->scalar_head(logits.view(), hidden) : model->logits(logits.view(), hidden);
  model::SafetensorsWriter writer;
  const auto values = runtime::read_float(device, logits.view());
  writer.add("logits", {hidden.rows, columns}, std::span<const float>(values));
  std::vector<float> balance;
  if (experts) {
    balance = {static_cast<float>(model->router_figures().balance)};
    writer.add("aux_loss", {1}, std::span<const float>(balance));
  }
  writer.write((folder / "gristmill.safetensors").string());
}

}  // namespace

TEST_CASE("interop: models of every family are saved", "[.interop]") {
  const auto device = runtime::open_device("cpu", 2);
  for (const auto& one : cases()) {
    const fs::path folder = interop_folder() / ("saved-" + one.name);
    fs::create_directories(folder);
    model::Transformer model(*device, one.config);
    test::randomize(model, 17);
    model::save_model(model, folder.string(), "", one.options);
    Json ids = Json::array();
    for (const uint32_t id : test::random_ids(29, 36, 23)) ids.push_back(uint64_t{id});
    write_file((folder / "ids.json").string(), ids.dump());
  }
}

TEST_CASE("interop: the logits of every case", "[.interop]") {
  const auto device = runtime::open_device("cpu", 2);
  int count = 0;
  for (const auto& entry : fs::directory_iterator(interop_folder())) {
    if (!fs::exists(entry.path() / "ids.json")) continue;
    write_logits(*device, entry.path());
    ++count;
  }
  CHECK(count > 0);
}

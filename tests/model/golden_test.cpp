// Models made and differentiated by another program: logits, loss, every gradient, and the weights after six
// clipped AdamW steps.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "base/json.hpp"
#include "model/model_directory.hpp"
#include "model/model_fixtures.hpp"
#include "model/safetensors.hpp"
#include "support/catch.hpp"
#include "support/data.hpp"

using namespace gristmill;

namespace {

/// The golden batch: rows of ids as documents, and the rows whose target counts.
struct Golden {
  explicit Golden(const std::filesystem::path& folder)
      : directory(folder.string()), file((folder / "golden.safetensors").string()) {
    const auto shape = file.tensors().at("input_ids").shape;
    const auto ids = file.read_int("input_ids"), goals = file.read_int("targets");
    for (int64_t row = 0; row < shape[0]; ++row) {
      std::vector<uint32_t> document;
      for (int64_t t = 0; t < shape[1]; ++t)
        document.push_back(static_cast<uint32_t>(ids[static_cast<size_t>(row * shape[1] + t)]));
      batch.add(document);
    }
    for (size_t i = 0; i < goals.size(); ++i) {
      if (goals[i] < 0) continue;
      rows.push_back(static_cast<int32_t>(i));
      targets.push_back(static_cast<int32_t>(goals[i]));
    }
  }
  std::string directory;
  model::SafetensorsReader file;
  model::Batch batch;
  std::vector<int32_t> rows, targets;
};

/// Loss and gradients with the masked rows left out of the head.
double step(model::Transformer& model, const Golden& golden) {
  auto& device = model.device();
  auto& backend = device.backend();
  const auto count = static_cast<int64_t>(golden.rows.size());
  const auto hidden = model.forward(golden.batch);
  const runtime::Buffer rows(device, runtime::DType::i32, count, 1),
      targets(device, runtime::DType::i32, count, 1);
  const runtime::Buffer picked(device, device.real(), count, hidden.cols),
      dpicked(device, device.real(), count, hidden.cols);
  const runtime::Buffer dhidden(device, device.real(), hidden.rows, hidden.cols);
  const runtime::Buffer log_prob(device, device.real(), count, 1), upstream(device, device.real(), count, 1);
  runtime::write_ints(device, rows.view(), golden.rows);
  runtime::write_ints(device, targets.view(), golden.targets);
  backend.fill(upstream.view(), -1 / static_cast<double>(count));
  backend.gather_rows(picked.view(), hidden, rows.view());
  model.zero_gradients();
  runtime::HeadValues values;
  values.log_prob = log_prob.view();
  runtime::HeadGradients gradients;
  gradients.log_prob = upstream.view();
  model.head_backward(dpicked.view(), values, picked.view(), targets.view(), gradients);
  backend.scatter_rows(dhidden.view(), dpicked.view(), rows.view());
  model.backward(dhidden.view());
  double loss = 0;
  for (const double value : runtime::read_real(device, log_prob.view())) loss -= value;
  return loss / static_cast<double>(count);
}

std::string golden_name(const model::SafetensorsReader& file, const std::string& prefix, std::string name) {
  if (file.tensors().contains(prefix + name)) return prefix + name;
  return prefix + name.substr(name.find('.') + 1);
}

double gradient_norm(model::Transformer& model) {
  auto& device = model.device();
  const runtime::Buffer sum(device, runtime::DType::f64, 1, 1);
  device.backend().sum_of_squares(sum.view(), model.gradients().all());
  return std::sqrt(runtime::read_real(device, sum.view()).front());
}

void check_golden(runtime::Device& device, const std::filesystem::path& folder) {
  const Golden golden(folder);
  const auto model = model::load_model(device, golden.directory);
  const auto hidden = model->forward(golden.batch);
  const runtime::Buffer logits(device, device.real(), hidden.rows, model->config().vocab_size);
  model->logits(logits.view(), hidden);
  CHECK(test::relative_difference(runtime::read_real(device, logits.view()),
                                  golden.file.read_double("logits")) < 2e-6);
  CHECK(step(*model, golden) == Approx(golden.file.read_double("loss").front()).epsilon(5e-7));
  CHECK(gradient_norm(*model) == Approx(golden.file.read_double("grad_norm").front()).epsilon(2e-6));
  for (size_t i = 0; i < model->gradients().size(); ++i) {
    const auto& name = model->gradients().table()[i].name;
    INFO(name);
    CHECK(test::relative_difference(runtime::read_real(device, model->gradients().view(i)),
                                    golden.file.read_double(golden_name(golden.file, "grad.", name))) < 1e-5);
  }
}

void check_six_steps(runtime::Device& device, const std::filesystem::path& folder) {
  const Golden golden(folder);
  const auto model = model::load_model(device, golden.directory);
  const model::ParameterSet m(device, model->parameters().table()), v(device, model->parameters().table());
  const auto losses = golden.file.read_double("adamw_losses_lr1e-2_b0.9_0.95_wd0.1_clip1");
  for (size_t i = 0; i < losses.size(); ++i) {
    CHECK(step(*model, golden) == Approx(losses[i]).epsilon(1e-5));
    runtime::AdamW args;
    args.learning_rate = 1e-2;
    args.weight_decay = 0.1;
    args.step = static_cast<int64_t>(i) + 1;
    args.gradient_scale = std::min(1.0, 1 / (gradient_norm(*model) + 1e-6));
    device.backend().adamw(model->parameters().all(), m.all(), v.all(), model->gradients().all(), args);
  }
  for (size_t i = 0; i < model->parameters().size(); ++i) {
    const auto& name = model->parameters().table()[i].name;
    INFO(name);
    auto ours = runtime::read_real(device, model->parameters().view(i));
    auto theirs = golden.file.read_double(golden_name(golden.file, "after6.", name));
    if (name.ends_with("c_attn.bias")) {
      // A bias of all keys shifts every score of a query alike: its true gradient is 0, and Adam makes steps
      // of rounding noise.
      for (auto* values : {&ours, &theirs}) {
        const auto third = static_cast<std::ptrdiff_t>(values->size() / 3);
        values->erase(values->begin() + third, values->begin() + 2 * third);
      }
    }
    CHECK(test::relative_difference(ours, theirs) < 2e-4);
  }
}

void check_nll(runtime::Device& device, const std::filesystem::path& folder) {
  const auto model = model::load_model(device, folder.string());
  std::ifstream lines(folder / "nll.jsonl");
  std::string line;
  int count = 0;
  while (std::getline(lines, line)) {
    const Json row = Json::parse(line);
    std::vector<uint32_t> ids;
    for (const auto& id : row.at("ids").as_array()) ids.push_back(static_cast<uint32_t>(id.as_int()));
    model::Batch batch;
    batch.add(std::span(ids).first(ids.size() - 1));
    const std::vector<int32_t> targets(ids.begin() + 1, ids.end());
    const double nll =
        test::cross_entropy(*model, batch, targets, false) * static_cast<double>(targets.size());
    // The files were made in single precision elsewhere, or in double by testdata/model/make-golden.
    CHECK(nll == Approx(row.at("nll").as_double()).epsilon(1e-6));
    CHECK(static_cast<int64_t>(targets.size()) == row.at("tokens").as_int());
    ++count;
  }
  CHECK(count > 0);
}

void check_all(const std::filesystem::path& folder) {
  for (const auto* kind : {"cpu", "f64", "guarded f32"}) {
    INFO(kind);
    const auto device = kind == std::string("cpu") ? runtime::open_device("cpu", 2)
                        : kind == std::string("f64")
                            ? runtime::open_reference_device(runtime::DType::f64)
                            : runtime::guard_device(runtime::open_reference_device(runtime::DType::f32));
    check_golden(*device, folder);
    check_six_steps(*device, folder);
    check_nll(*device, folder);
  }
}

}  // namespace

TEST_CASE("two tiny models give the likelihoods that a program of its own computed", "[model]") {
  for (const char* name : {"model/llama", "model/gpt2"}) {
    for (const auto real : {runtime::DType::f32, runtime::DType::f64}) {
      check_nll(*runtime::open_reference_device(real), test::testdata(name));
    }
    check_nll(*runtime::open_device("cpu", 1), test::testdata(name));
  }
}

TEST_CASE("a Llama made elsewhere gives its logits, loss, gradients and training steps", "[model]") {
  REQUIRE_EXTERNAL_DATA(folder, "models/golden/llama-gqa-untied");
  check_all(folder);
}

TEST_CASE("a GPT-2 made elsewhere gives its logits, loss, gradients and training steps", "[model]") {
  REQUIRE_EXTERNAL_DATA(folder, "models/golden/gpt2");
  check_all(folder);
}

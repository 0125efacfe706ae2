// What goes wrong in the middle of a run: numbers that are not finite, wherever they come from, and signals
// at inconvenient moments.

#include <algorithm>
#include <cmath>
#include <csignal>
#include <filesystem>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "model/model_directory.hpp"
#include "model/safetensors.hpp"
#include "support/catch.hpp"
#include "support/scratch.hpp"
#include "train/train_fixtures.hpp"

using namespace gristmill;
namespace fs = std::filesystem;

namespace {

/// The tiny run with something that happens behind a step's gradients, in a validation or in a save.
class Troubled : public train::PretrainObjective {
 public:
  explicit Troubled(model::Transformer& model)
      : train::PretrainObjective(model, test::counting_tokens(60, 1), test::counting_tokens(10, 2),
                                 test::tiny_pretrain()) {}
  void accumulate(int64_t step, train::StepMetrics& metrics) override {
    train::PretrainObjective::accumulate(step, metrics);
    if (after_gradients) after_gradients(step);
  }
  std::map<std::string, double> validate() override {
    if (in_validation) in_validation();
    return train::PretrainObjective::validate();
  }
  Json save_state() const override {
    if (in_save) in_save();
    return train::PretrainObjective::save_state();
  }

  std::function<void(int64_t)> after_gradients;
  std::function<void()> in_validation, in_save;
};

struct TroubledRun {
  TroubledRun()
      : device(runtime::open_device("cpu", 1)), model(*device, test::tiny_config()), objective(model) {
    model::initialize(model.parameters(), 1);
    options = test::tiny_train(folder.file("run"));
  }
  void run() { train::run(objective, options, test::tiny_record(options), ""); }
  std::string last() const { return fs::path(model::last_checkpoint(options.run_dir)).filename().string(); }
  /// Puts a value into one element of a tensor.
  void put(runtime::View view, float value) const {
    auto values = runtime::read_float(*device, view);
    values[values.size() / 2] = value;
    runtime::write_real(*device, view, std::span<const float>(values));
  }

  test::ScratchFolder folder;
  std::unique_ptr<runtime::Device> device;
  model::Transformer model;
  Troubled objective;
  train::TrainOptions options;
};

constexpr float kNan = std::numeric_limits<float>::quiet_NaN(),
                kInfinite = std::numeric_limits<float>::infinity();
const std::string kMatrix = "model.layers.1.mlp.down_proj.weight";

}  // namespace

TEST_CASE("one gradient that is not finite stops the run before the weights see it", "[train]") {
  for (const float value : {kNan, kInfinite, -kInfinite}) {
    TroubledRun run;
    run.objective.after_gradients = [&](int64_t step) {
      if (step == 6) run.put(run.model.gradients().view(kMatrix), value);
    };
    CHECK_THROWS_WITH(run.run(), test::contains("step 7") && test::contains("checkpoints/step-4"));
    for (const float weight : runtime::read_float(*run.device, run.model.parameters().all()))
      CHECK(std::isfinite(weight));
    CHECK(run.last() == "step-4");
  }
}

TEST_CASE("a weight that is not finite is never saved", "[train]") {
  TroubledRun run;
  run.objective.after_gradients = [&](int64_t step) {
    if (step == 7) run.put(run.model.parameters().view(kMatrix), kNan);  // a checkpoint is due behind step 8
  };
  CHECK_THROWS_WITH(run.run(), test::contains("step 8: the weights") && test::contains("checkpoints/step-4"));
  CHECK(run.last() == "step-4");
}

TEST_CASE("a moment that overflowed is never saved, though loss, gradient and weights are finite",
          "[train]") {
  for (const auto optimizer : {train::OptimizerKind::adamw, train::OptimizerKind::muon}) {
    TroubledRun run;
    run.options.clip_norm = 0;
    run.options.optimizer = optimizer;
    run.objective.after_gradients = [&](int64_t step) {
      if (step == 7)
        run.put(run.model.gradients().view("model.embed_tokens.weight"), 1e25F);  // its square: inf
    };
    CHECK_THROWS_WITH(run.run(), test::contains("moments are not finite") && test::contains("step-4"));
    CHECK(run.last() == "step-4");
  }
}

TEST_CASE("weights and moments of a damaged checkpoint are not gone on from", "[train]") {
  for (const char* file : {"model.safetensors", "optimizer.safetensors"}) {
    TroubledRun run;
    run.run();
    const std::string path = (fs::path(model::last_checkpoint(run.options.run_dir)) / file).string();
    std::string bytes = read_file(path);
    for (size_t i = 1; i <= 4; ++i) bytes[bytes.size() - i] = '\xFF';  // the last number is NaN
    write_file(path, bytes);
    run.options.resume = true;
    CHECK_THROWS_WITH(run.run(), test::contains("step-12") && test::contains("earlier checkpoint"));
  }
}

TEST_CASE("a signal during a validation ends the run with a checkpoint of that step", "[train]") {
  TroubledRun run;
  bool sent = false;
  run.objective.in_validation = [&] {  // behind step 3; checkpoints are due behind 4 and 8
    if (!sent) std::raise(SIGTERM);
    sent = true;
  };
  CHECK_THROWS_AS(run.run(), Stopped);
  CHECK(run.last() == "step-3");
  CHECK(train::read_metrics(run.options.run_dir).back().find("val_loss") != nullptr);
}

TEST_CASE("a signal while a checkpoint is written spoils neither it nor the end", "[train]") {
  TroubledRun whole;
  whole.options.keep_checkpoints = 0;
  whole.run();
  TroubledRun run;
  run.options.keep_checkpoints = 0;
  bool sent = false;
  run.objective.in_save = [&] {
    if (!sent) std::raise(SIGUSR1);
    sent = true;
  };
  CHECK_THROWS_AS(run.run(), Stopped);
  CHECK(test::checkpoint_bytes(run.options.run_dir, 4) == test::checkpoint_bytes(whole.options.run_dir, 4));
  CHECK(run.last() == "step-5");
  TroubledRun rest;
  rest.options.run_dir = run.options.run_dir;
  rest.options.resume = true;
  rest.run();
  CHECK(test::checkpoint_bytes(run.options.run_dir, 12) == test::checkpoint_bytes(whole.options.run_dir, 12));
}

TEST_CASE("the whole step's gradient is clipped, not that of its micro-batches", "[train]") {
  std::vector<std::vector<float>> moments;
  for (const int64_t micro : {16, 64}) {
    const test::ScratchFolder folder;
    const auto device = runtime::open_device("cpu", 1);
    auto options = test::tiny_train(folder.file("run"));
    options.clip_norm = 0.01;
    options.checkpoint_every = 1;
    options.keep_checkpoints = 0;
    auto pretrain = test::tiny_pretrain();
    pretrain.micro_batch_tokens = micro;
    test::run_tiny(*device, options, pretrain);
    const model::SafetensorsReader saved(
        (fs::path(options.run_dir) / "checkpoints" / "step-1" / "optimizer.safetensors").string());
    double length = 0;
    for (const auto& [name, info] : saved.tensors()) {
      if (!name.starts_with("m.")) continue;
      for (const float value : saved.read_float(name)) length += static_cast<double>(value) * value;
    }
    CHECK(std::sqrt(length) == Approx(0.1 * 0.01).epsilon(1e-3));  // (1 - beta1) · clip
    moments.push_back(saved.read_float("m." + kMatrix));
  }
  const auto largest = std::abs(*std::max_element(
      moments[0].begin(), moments[0].end(), [](float a, float b) { return std::abs(a) < std::abs(b); }));
  for (size_t i = 0; i < moments[0].size(); ++i)
    CHECK(moments[0][i] == Approx(moments[1][i]).margin(1e-5 * static_cast<double>(largest)));
}

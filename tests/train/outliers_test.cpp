#include "train/outliers.hpp"

#include <cmath>
#include <filesystem>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "support/catch.hpp"
#include "support/scratch.hpp"
#include "train/train_fixtures.hpp"

using namespace gristmill;

namespace {

/// Losses and gradients that a test decides; remembers the weights that each step saw.
class Scripted : public train::Objective {
 public:
  explicit Scripted(model::Transformer& model) : model_(model) {}
  std::vector<Trainee> trainees() override { return {{"model", &model_}}; }
  int64_t total_steps() const override { return 140; }
  void accumulate(int64_t step, train::StepMetrics& metrics) override {
    const auto weight = model_.parameters().view("model.norm.weight");
    seen.push_back(runtime::read_real(model_.device(), weight).front());
    model_.device().backend().fill(model_.gradients().view("model.norm.weight"),
                                   (step == norm_spike_at ? 100 : 1) + 0.01 * static_cast<double>(step % 7));
    metrics.loss = step == loss_spike_at ? 50 : 2 + 0.1 * static_cast<double>(step % 5);
    metrics.tokens = 1;
    if (step == break_at) model_.device().backend().fill(weight, std::numeric_limits<double>::infinity());
  }

  int64_t loss_spike_at = -1, norm_spike_at = -1, break_at = -1;
  std::vector<double> seen;

 private:
  model::Transformer& model_;
};

struct ScriptedRun {
  ScriptedRun()
      : device(runtime::open_device("cpu", 1)), model(*device, test::tiny_config()), objective(model) {
    model::initialize(model.parameters(), 1);
  }
  std::unique_ptr<runtime::Device> device;
  model::Transformer model;
  Scripted objective;
};

std::vector<int64_t> skipped_steps(const std::string& run_dir) {
  std::vector<int64_t> steps;
  for (const auto& line : train::read_metrics(run_dir)) {
    const Json* skipped = line.find("skipped");
    if (skipped != nullptr && skipped->as_double() == 1) steps.push_back(line.at("step").as_int());
  }
  return steps;
}

}  // namespace

TEST_CASE("a z-score is 0 until the window is full, then by mean and standard deviation", "[train]") {
  train::OutlierWindow window;
  for (size_t i = 0; i < train::OutlierWindow::kSize; ++i) CHECK(window.score(i % 2 == 0 ? 1 : 3) == 0);
  train::OutlierWindow copy;
  copy.load(Json::parse(window.to_json().dump()));
  CHECK(window.score(5) == Approx(3));  // mean 2, deviation 1
  CHECK(copy.score(5) == Approx(3));
  // The 5 has taken the place of the first 1: mean 2 + 4/128, and more spread.
  const double mean = 2 + 4.0 / 128, deviation = std::sqrt((63 + 64 * 9 + 25) / 128.0 - mean * mean);
  CHECK(window.score(4) == Approx((4 - mean) / deviation));
  train::OutlierWindow flat;
  for (size_t i = 0; i <= train::OutlierWindow::kSize; ++i) CHECK(flat.score(7) == 0);
  CHECK_THROWS_AS(flat.load(Json("no array")), Error);
}

TEST_CASE("steps whose loss or gradient norm stands out change no weight and are marked", "[train]") {
  const test::ScratchFolder folder;
  auto options = test::tiny_train(folder.file("run"));
  options.validate_every = 0;
  options.checkpoint_every = 131;
  options.skip_outliers = 4;
  options.clip_norm = 0;
  const auto start = [&](ScriptedRun& run) {
    run.objective.loss_spike_at = 132;
    run.objective.norm_spike_at = 135;
    train::run(run.objective, options, Json::object(), "");
  };
  ScriptedRun whole;
  start(whole);
  CHECK(skipped_steps(options.run_dir) == std::vector<int64_t>{133, 136});
  const auto& seen = whole.objective.seen;
  for (size_t step = 0; step + 1 < seen.size(); ++step) {
    CHECK((seen[step + 1] == seen[step]) == (step == 132 || step == 135));
  }
  // The windows are part of the checkpoint.
  const std::string last = test::checkpoint_bytes(options.run_dir, 140);
  std::filesystem::remove_all(folder.path() / "run" / "checkpoints" / "step-140");
  options.resume = true;
  ScriptedRun resumed;
  start(resumed);
  CHECK(resumed.objective.seen.size() == 9);
  CHECK(skipped_steps(options.run_dir) == std::vector<int64_t>{133, 136});
  CHECK(test::checkpoint_bytes(options.run_dir, 140) == last);
}

TEST_CASE("without the option nothing is left out", "[train]") {
  const test::ScratchFolder folder;
  auto options = test::tiny_train(folder.file("run"));
  options.checkpoint_every = options.validate_every = 0;
  ScriptedRun run;
  run.objective.loss_spike_at = 132;
  train::run(run.objective, options, Json::object(), "");
  CHECK(skipped_steps(options.run_dir).empty());
  options.skip_outliers = -1;
  CHECK_THROWS_WITH(train::run(run.objective, options, Json::object(), ""),
                    test::contains("--skip-outliers"));
}

TEST_CASE("weights that are not finite are not saved; the last good checkpoint stays", "[train]") {
  const test::ScratchFolder folder;
  auto options = test::tiny_train(folder.file("run"));
  options.checkpoint_every = 5;
  ScriptedRun run;
  run.objective.break_at = 7;
  CHECK_THROWS_WITH(
      train::run(run.objective, options, Json::object(), ""),
      test::contains("step 10: the weights of the model") && test::contains("checkpoints/step-5"));
  CHECK(std::filesystem::exists(folder.path() / "run" / "checkpoints" / "step-5"));
  CHECK_FALSE(std::filesystem::exists(folder.path() / "run" / "checkpoints" / "step-10"));
}

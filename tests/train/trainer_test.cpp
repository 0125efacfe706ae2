#include "train/trainer.hpp"

#include <algorithm>
#include <cmath>
#include <csignal>
#include <filesystem>
#include <limits>
#include <map>
#include <memory>
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

/// Passes all on to another objective but for what a test wants to happen at a step.
class Wrapped : public train::Objective {
 public:
  explicit Wrapped(train::Objective& inner) : inner_(inner) {}
  std::vector<Trainee> trainees() override { return inner_.trainees(); }
  int64_t total_steps() const override { return inner_.total_steps(); }
  void accumulate(int64_t step, train::StepMetrics& metrics) override {
    inner_.accumulate(step, metrics);
    if (step == signal_at) std::raise(signal);
    if (step == nan_at) metrics.loss = std::numeric_limits<double>::quiet_NaN();
  }
  bool can_checkpoint(int64_t next_step) const override { return next_step % checkpoint_multiple == 0; }
  Json save_state() const override { return inner_.save_state(); }
  void load_state(const Json& state) override { inner_.load_state(state); }

  int64_t signal_at = -1, nan_at = -1, checkpoint_multiple = 1;
  int signal = SIGTERM;

 private:
  train::Objective& inner_;
};

struct TinyRun {
  TinyRun()
      : device(runtime::open_device("cpu", 1)),
        model(*device, test::tiny_config()),
        objective(model, test::counting_tokens(60, 1), std::nullopt, test::tiny_pretrain()),
        wrapped(objective) {
    model::initialize(model.parameters(), 1);
  }
  std::unique_ptr<runtime::Device> device;
  model::Transformer model;
  train::PretrainObjective objective;
  Wrapped wrapped;
};

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

/// Two models, to see that each is clipped, updated and saved by itself.
class TwoModels : public train::Objective {
 public:
  TwoModels(model::Transformer& first, model::Transformer& second) : first_(first), second_(second) {}
  std::vector<Trainee> trainees() override { return {{"policy", &first_}, {"value", &second_}}; }
  int64_t total_steps() const override { return 2; }
  void accumulate(int64_t, train::StepMetrics& metrics) override {
    auto& backend = first_.device().backend();
    backend.fill(first_.gradients().view("model.norm.weight"), 3);
    backend.fill(second_.gradients().view("model.norm.weight"), 0.001);
    metrics.loss = 1;
    metrics.tokens = 10;
    metrics.values["objective/kl"] = 0.5;
  }

 private:
  model::Transformer &first_, &second_;
};

}  // namespace

TEST_CASE("a run learns, and leaves a run directory that the rest of the toolchain reads", "[train]") {
  for (const bool guarded : {false, true}) {
    const test::ScratchFolder folder;
    const std::string run_dir = folder.file("run");
    const auto device = guarded ? runtime::guard_device(runtime::open_reference_device(runtime::DType::f32))
                                : runtime::open_device("cpu", 2);
    test::run_tiny(*device, test::tiny_train(run_dir));
    const auto lines = train::read_metrics(run_dir);
    REQUIRE(lines.size() == 12);
    CHECK(lines.front().at("loss").as_double() == Approx(std::log(29)).epsilon(0.02));
    CHECK(lines.back().at("loss").as_double() < 2.9);
    CHECK(lines.back().at("step").as_int() == 12);
    CHECK(lines.back().at("tokens").as_int() == 12 * 64);
    // A share of the peak only where a device states its peak.
    if (device->peak_flops() > 0) CHECK(lines.back().at("mfu").as_double() < 1);
    CHECK(lines.back().at("mfu").is_null() == (device->peak_flops() == 0));
    CHECK(lines.back().at("memory").as_uint() > 1'000'000);
    CHECK(lines[2].find("val_loss") != nullptr);
    CHECK(lines[3].find("val_loss") == nullptr);
    CHECK(lines[11].at("val_perplexity").as_double() ==
          Approx(std::exp(lines[11].at("val_loss").as_double())));
    CHECK(names_in(folder.path() / "run" / "checkpoints") == std::vector<std::string>{"step-12", "step-8"});
    const auto model = model::load_model(*device, run_dir);
    CHECK(model->config() == test::tiny_config());
    const std::string report = read_file((folder.path() / "run" / "report.html").string());
    CHECK(report.find("<svg") != std::string::npos);
    CHECK(report.find("val_loss") != std::string::npos);
    CHECK(report.find("http") == std::string::npos);
    CHECK(read_file((folder.path() / "run" / "config.toml").string()) == "lr = 0.01\nseed = 1\n");
  }
}

TEST_CASE("a run that stops and resumes gives the bytes of one that does not, with any number of threads",
          "[train]") {
  const test::ScratchFolder folder;
  const std::string whole = folder.file("whole"), parts = folder.file("parts");
  const auto device = runtime::open_device("cpu", 1);
  test::run_tiny(*device, test::tiny_train(whole));
  for (const int64_t stop : {2, 5, 12}) {
    const auto other = runtime::open_device("cpu", static_cast<int>(stop % 3) + 1);
    model::Transformer model(*other, test::tiny_config());
    model::initialize(model.parameters(), 1);
    train::PretrainObjective objective(model, test::counting_tokens(60, 1), test::counting_tokens(10, 2),
                                       test::tiny_pretrain());
    auto options = test::tiny_train(parts);
    options.resume = true;
    const Json record = test::tiny_record(options);
    if (stop == 12) {
      train::run(objective, options, record, "");
    } else {
      // Held-out figures come from the inner objective at the same steps as in the whole run.
      class StopAt : public Wrapped {
       public:
        using Wrapped::Wrapped;
        train::Objective* inner = nullptr;
        std::map<std::string, double> validate() override { return inner->validate(); }
      } stopping(objective);
      stopping.inner = &objective;
      stopping.signal_at = stop - 1;
      CHECK_THROWS_AS(train::run(stopping, options, record, ""), Stopped);
      CHECK(fs::exists(fs::path(parts) / "checkpoints" / str("step-", stop)));
    }
  }
  CHECK(test::steady_metrics(parts) == test::steady_metrics(whole));
  CHECK(test::checkpoint_bytes(parts, 12) == test::checkpoint_bytes(whole, 12));
}

TEST_CASE("what a killed run wrote behind its last checkpoint is redone, not doubled", "[train]") {
  const test::ScratchFolder folder;
  const std::string run_dir = folder.file("run");
  const auto device = runtime::open_device("cpu", 1);
  test::run_tiny(*device, test::tiny_train(run_dir));
  const std::string metrics = test::steady_metrics(run_dir), last = test::checkpoint_bytes(run_dir, 12);
  fs::remove_all(folder.path() / "run" / "checkpoints" / "step-12");
  fs::create_directories(folder.path() / "run" / "checkpoints" / ".saving-12");
  const std::string path = (folder.path() / "run" / "metrics.jsonl").string();
  write_file(path, read_file(path) + "{\"step\":13,\"lo");  // as a power cut leaves it
  auto options = test::tiny_train(run_dir);
  options.resume = true;
  test::run_tiny(*device, options);
  CHECK(test::steady_metrics(run_dir) == metrics);
  CHECK(test::checkpoint_bytes(run_dir, 12) == last);
  CHECK(names_in(folder.path() / "run" / "checkpoints") == std::vector<std::string>{"step-12", "step-8"});
}

TEST_CASE("a signal in the middle of an iteration waits for a step that can be resumed", "[train]") {
  const test::ScratchFolder folder;
  TinyRun run;
  run.wrapped.signal_at = 4;
  run.wrapped.signal = SIGUSR1;
  run.wrapped.checkpoint_multiple = 3;
  auto options = test::tiny_train(folder.file("run"));
  options.checkpoint_every = 0;
  CHECK_THROWS_WITH(train::run(run.wrapped, options, Json::object(), ""), test::contains("after step 6"));
  CHECK(names_in(folder.path() / "run" / "checkpoints") == std::vector<std::string>{"step-6"});
}

TEST_CASE("a loss that is not finite stops the run and names the step and the last good checkpoint",
          "[train]") {
  const test::ScratchFolder folder;
  TinyRun run;
  run.wrapped.nan_at = 6;
  const auto options = test::tiny_train(folder.file("run"));
  CHECK_THROWS_WITH(train::run(run.wrapped, options, Json::object(), ""),
                    test::contains("step 7: the loss (nan)") && test::contains("checkpoints/step-4"));
  const auto lines = train::read_metrics(options.run_dir);
  REQUIRE(lines.size() == 7);
  CHECK(lines.back().at("loss").is_null());
}

TEST_CASE("resuming with other options or other data is refused, naming what differs", "[train]") {
  const test::ScratchFolder folder;
  const std::string run_dir = folder.file("run");
  const auto device = runtime::open_device("cpu", 1);
  test::run_tiny(*device, test::tiny_train(run_dir));
  CHECK_THROWS_WITH(test::run_tiny(*device, test::tiny_train(run_dir)),
                    test::contains("holds a run already"));
  TinyRun run;
  auto options = test::tiny_train(run_dir);
  options.resume = true;
  Json record = test::tiny_record(options);
  record["lr"] = 0.5;
  record["dim"] = 7;
  CHECK_THROWS_WITH(train::run(run.objective, options, record, ""),
                    test::contains("lr (was 0.01, now 0.5)") && test::contains("dim (was absent, now 7)"));
  options.seed = 9;
  CHECK_THROWS_WITH(test::run_tiny(*device, options), test::contains("seed 1, not 9"));
  options.seed = 1;
  train::PretrainObjective other(run.model, test::counting_tokens(61, 1), std::nullopt,
                                 test::tiny_pretrain());
  record = test::tiny_record(options);
  CHECK_THROWS_WITH(train::run(other, options, record, ""), test::contains("other token shards"));
}

TEST_CASE("a checkpoint with a moment that is not finite is refused", "[train]") {
  const test::ScratchFolder folder;
  const std::string run_dir = folder.file("run");
  const auto device = runtime::open_device("cpu", 1);
  test::run_tiny(*device, test::tiny_train(run_dir));
  const std::string path =
      (folder.path() / "run" / "checkpoints" / "step-12" / "optimizer.safetensors").string();
  std::string bytes = read_file(path);
  for (int i = 1; i <= 4; ++i) bytes[bytes.size() - static_cast<size_t>(i)] = '\xFF';
  write_file(path, bytes);
  auto options = test::tiny_train(run_dir);
  options.resume = true;
  CHECK_THROWS_WITH(test::run_tiny(*device, options), test::contains("v.model.norm.weight is not finite"));
}

TEST_CASE("each trainee is clipped by its own norm and saved under its name", "[train]") {
  const test::ScratchFolder folder;
  const auto device = runtime::open_device("cpu", 1);
  model::Transformer policy(*device, test::tiny_config());
  auto value_config = test::tiny_config();
  value_config.head = model::Head::scalar;
  model::Transformer value(*device, value_config);
  model::initialize(policy.parameters(), 1);
  model::initialize(value.parameters(), 2);
  TwoModels objective(policy, value);
  auto options = test::tiny_train(folder.file("run"));
  options.checkpoint_every = 1;
  train::run(objective, options, Json::object(), "");
  const auto lines = train::read_metrics(options.run_dir);
  CHECK(lines.back().at("grad_norm").as_double() == Approx(12));  // 16 elements of 3
  CHECK(lines.back().at("grad_norm/value").as_double() == Approx(0.004));
  CHECK(lines.back().at("objective/kl").as_double() == 0.5);
  const auto saved = model::load_model(
      *device, (folder.path() / "run" / "checkpoints" / "step-2" / "value").string(), model::Head::scalar);
  CHECK(runtime::read_real(*device, saved->parameters().all()) ==
        runtime::read_real(*device, value.parameters().all()));
  const model::SafetensorsReader moments(
      (folder.path() / "run" / "checkpoints" / "step-1" / "optimizer.safetensors").string());
  CHECK(moments.read_float("m.model.norm.weight").front() == Approx(0.1 * 3 / 12));  // clipped to norm 1
}

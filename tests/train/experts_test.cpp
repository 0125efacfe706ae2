// Training a mixture of experts: it learns, each matrix is one to Muon, and a run
// holds what its plan says.

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "model/parameters.hpp"
#include "support/catch.hpp"
#include "support/counting_device.hpp"
#include "support/scratch.hpp"
#include "train/expert_metrics.hpp"
#include "train/memory_plan.hpp"
#include "train/muon.hpp"
#include "train/optimizer.hpp"
#include "train_fixtures.hpp"

using namespace gristmill;

namespace {

model::Config sparse_config(double balance = 0.01) {
  model::Config config = test::tiny_config(false);
  config.experts = 4;
  config.hidden_dim = 16;
  config.router_balance = balance;
  return config;
}

void run(runtime::Device& device, const model::Config& config, const train::TrainOptions& options,
         const train::PretrainOptions& pretrain) {
  model::Transformer model(device, config);
  model::initialize(model.parameters(), options.seed);
  train::PretrainObjective objective(model, test::counting_tokens(60, 1), test::counting_tokens(10, 2),
                                     pretrain);
  train::run(objective, options, test::tiny_record(options), "");
}

double value_of(const Json& line, const char* key) { return line.at(key).as_double(); }

}  // namespace

TEST_CASE("a mixture of experts learns, and says how busy its experts are", "[train]") {
  const auto device = runtime::open_device("cpu", 2);
  auto pretrain = test::tiny_pretrain();
  pretrain.tokens = 60 * 64;
  const test::ScratchFolder folder;
  auto options = test::tiny_train(folder.file("run"));
  options.checkpoint_every = 0;
  options.validate_every = 0;
  run(*device, sparse_config(), options, pretrain);
  const auto lines = train::read_metrics(options.run_dir);
  REQUIRE(lines.size() == 60);
  CHECK(value_of(lines.back(), "loss") < value_of(lines.front(), "loss") - 1);
  for (const auto& line : lines) {
    CHECK(value_of(line, "aux_loss") == Approx(2).margin(0.1));  // K where all is even
    CHECK(value_of(line, "expert_load/max") >= 1);
    CHECK(value_of(line, "expert_load/min") <= 1);
  }
}

TEST_CASE("a mixture of experts that stops and resumes gives the bytes of one that does not", "[train]") {
  for (const auto kind : {train::OptimizerKind::adamw, train::OptimizerKind::muon}) {
    const test::ScratchFolder folder;
    auto pretrain = test::tiny_pretrain();
    pretrain.router_z_loss = 1e-2;
    auto options = test::tiny_train(folder.file("whole"));
    options.optimizer = kind;
    run(*runtime::open_device("cpu", 1), sparse_config(), options, pretrain);
    options.run_dir = folder.file("parts");
    run(*runtime::open_device("cpu", 2), sparse_config(), options, pretrain);
    std::filesystem::remove_all(std::filesystem::path(options.run_dir) / "checkpoints" / "step-12");
    options.resume = true;
    run(*runtime::open_device("cpu", 3), sparse_config(), options, pretrain);
    CHECK(test::checkpoint_bytes(options.run_dir, 12) == test::checkpoint_bytes(folder.file("whole"), 12));
    CHECK(test::steady_metrics(options.run_dir) == test::steady_metrics(folder.file("whole")));
  }
}

TEST_CASE("a step's balance is the mean of its micro-batches', weighted by tokens", "[train]") {
  const auto device = runtime::open_device("cpu", 1);
  const auto config = sparse_config();
  const auto figures_of = [&](int64_t micro_batch) {
    model::Transformer model(*device, config);
    model::initialize(model.parameters(), 1);
    auto pretrain = test::tiny_pretrain();
    pretrain.micro_batch_tokens = micro_batch;
    train::PretrainObjective objective(model, test::counting_tokens(60, 1), std::nullopt, pretrain);
    model.zero_gradients();
    train::StepMetrics metrics;
    objective.accumulate(0, metrics);
    return metrics.values;
  };
  const auto parts = figures_of(16), whole = figures_of(64);
  CHECK(parts.at("expert_load/max") == whole.at("expert_load/max"));
  CHECK(parts.at("expert_load/min") == whole.at("expert_load/min"));
  CHECK(parts.at("aux_loss") != whole.at("aux_loss"));
  model::RouterFigures first, second;
  first.balance = 2;
  first.load = {3, 1};
  second.balance = 3;
  second.load = {0, 2};
  auto sums = train::expert_sums(first, 4);
  const auto more = train::expert_sums(second, 2);
  for (size_t i = 0; i < sums.size(); ++i) sums[i] += more[i];
  model::Config two = config;
  two.experts = 2;
  two.experts_per_token = 1;
  train::StepMetrics metrics;
  train::put_expert_metrics(sums, two, 6, 0, metrics);
  CHECK(metrics.values.at("aux_loss") == Approx((2.0 * 4 + 3.0 * 2) / 6));
  CHECK(metrics.values.at("expert_load/max") == Approx(1));
  CHECK(metrics.values.at("expert_load/min") == Approx(1));
  CHECK(metrics.values.count("router_z_loss") == 0);
}

TEST_CASE("to Muon each matrix of each expert is one of its own", "[train]") {
  const auto device = runtime::open_device("cpu", 1);
  const auto table = model::parameter_table(sparse_config());
  model::ParameterSet weights(*device, table), gradients(*device, table), alone(*device, table);
  model::initialize(weights, 1);
  model::initialize(alone, 1);
  model::initialize(gradients, 2);
  train::OptimizerOptions options;
  options.kind = train::OptimizerKind::muon;
  options.clip_norm = 0;
  train::Optimizer optimizer(*device, table, options);
  optimizer.update(weights, gradients, 1, 0.01, 1);
  train::Muon muon(*device);
  int experts = 0;
  for (size_t i = 0; i < table.size(); ++i) {
    if (table[i].name.find(".experts.") == std::string::npos) continue;
    ++experts;
    CHECK(train::is_hidden_matrix(table[i]));
    const runtime::Buffer momentum(*device, runtime::DType::f32, table[i].rows, table[i].cols);
    train::MuonStep step;
    step.learning_rate = 0.01;
    step.weight_decay = options.weight_decay;
    muon.update(alone.view(i), momentum.view(), gradients.view(i), step);
    INFO(table[i].name);
    CHECK(runtime::read_float(*device, weights.view(i)) == runtime::read_float(*device, alone.view(i)));
  }
  CHECK(experts == 2 * 4 * 3);
}

TEST_CASE("a run with experts holds what its plan says", "[train]") {
  for (const auto compute : {runtime::DType::f32, runtime::DType::bf16}) {
    for (const auto level : {model::Recompute::none, model::Recompute::norms, model::Recompute::block}) {
      const auto config = sparse_config();
      const test::ScratchFolder folder;
      auto options = test::tiny_train(folder.file("run"));
      options.compute = compute;
      options.recompute = level;
      const auto pretrain = test::tiny_pretrain();
      const auto tokens = test::counting_tokens(60, 1), held_out = test::counting_tokens(10, 2);
      train::MemoryPlanOptions plan;
      plan.compute = compute;
      plan.recompute = level;
      plan.extent = train::pretrain_extent(pretrain, config.context, static_cast<int64_t>(tokens.ids.size()),
                                           0, static_cast<int64_t>(held_out.ids.size()));
      plan.objective_bytes = train::PretrainObjective::bytes(config, plan.extent, plan.real, pretrain);
      uint64_t planned = 0;
      for (const auto& part : train::plan_memory(config, plan).parts) {
        if (part.name == "packed weights" || part.name == "head" || part.name.starts_with("a checkpoint"))
          continue;
        planned += part.bytes;
      }
      test::CountingDevice device(runtime::open_device("cpu", 1, compute));
      run(device, config, options, pretrain);
      const auto peak = static_cast<uint64_t>(device.peak());
      CHECK(peak >= planned);
      CHECK(peak < planned + 64);
    }
  }
}

TEST_CASE("options of experts are refused where there are none", "[train]") {
  const auto device = runtime::open_device("cpu", 1);
  model::Transformer model(*device, test::tiny_config());
  auto pretrain = test::tiny_pretrain();
  pretrain.router_z_loss = 1;
  CHECK_THROWS_WITH(train::PretrainObjective(model, test::counting_tokens(60, 1), std::nullopt, pretrain),
                    test::contains("--router-z-loss"));
}

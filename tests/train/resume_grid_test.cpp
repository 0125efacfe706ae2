// Whatever options a run has and wherever it is cut, it ends in the bytes of one that was not. Options and
// cuts are drawn at random, the same ones in every test run.

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/rng.hpp"
#include "support/catch.hpp"
#include "support/scratch.hpp"
#include "train/train_fixtures.hpp"

using namespace gristmill;
namespace fs = std::filesystem;

namespace {

/// One draw from the grid.
struct Draw {
  train::TrainOptions train;
  train::PretrainOptions pretrain;
  model::Config config;
  bool anneals = false;
};

template <class Value>
Value one_of(Rng& rng, const std::vector<Value>& values) {
  return values[rng.below(values.size())];
}

Draw draw(uint64_t seed, const std::string& run_dir) {
  Rng rng(seed, stream_of(RandomStream::test));
  Draw result;
  result.train = test::tiny_train(run_dir);
  result.train.checkpoint_every = 0;
  result.train.validate_every = static_cast<int64_t>(rng.below(4));
  result.train.optimizer = one_of(rng, std::vector{train::OptimizerKind::adamw, train::OptimizerKind::muon});
  result.train.compute = one_of(rng, std::vector{runtime::DType::f32, runtime::DType::bf16});
  result.train.recompute =
      one_of(rng, std::vector{model::Recompute::none, model::Recompute::norms, model::Recompute::block});
  result.train.schedule.kind = one_of(rng, std::vector{train::Schedule::constant, train::Schedule::cosine,
                                                       train::Schedule::linear, train::Schedule::wsd});
  result.train.schedule.warmup_share = one_of(rng, std::vector{0.0, 0.3});
  result.train.clip_norm = one_of(rng, std::vector{0.0, 0.3});
  auto& pretrain = result.pretrain = test::tiny_pretrain();
  if (seed == 4) {  // many small steps: outliers are judged by the last 128
    result.train.skip_outliers = 1;
    pretrain.batch_tokens = 16;
    pretrain.tokens = 140 * 16;
  } else {
    pretrain.tokens = 24 * 64;
  }
  pretrain.micro_batch_tokens = one_of(rng, std::vector<int64_t>{16, 32, 64});
  pretrain.z_loss = one_of(rng, std::vector{0.0, 1e-2});
  if (rng.below(2) == 0) pretrain.ramp_start = 0.25, pretrain.ramp_share = 0.6;
  result.anneals = rng.below(2) == 0;
  if (result.anneals) result.train.schedule.anneal_share = pretrain.anneal_share = 0.5;
  result.config = test::tiny_config(rng.below(2) == 0);
  result.config.qk_norm = rng.below(2) == 0;
  result.config.mup_base_dim = one_of(rng, std::vector<int64_t>{0, 8});
  return result;
}

/// Asks for a stop behind a step, as a signal would.
class StopAt : public train::PretrainObjective {
 public:
  using train::PretrainObjective::PretrainObjective;
  void accumulate(int64_t step, train::StepMetrics& metrics) override {
    train::PretrainObjective::accumulate(step, metrics);
    if (step + 1 == stop) std::raise(SIGTERM);
  }
  int64_t stop = -1;
};

/// To the end, or to the step where it stops; returns the number of steps of the whole run.
int64_t run_to(const Draw& draw, int64_t stop, int threads, const std::string& run_dir) {
  const auto device = runtime::open_device("cpu", threads, draw.train.compute);
  model::Transformer model(*device, draw.config);
  model::initialize(model.parameters(), 1);
  std::optional<shard::TokenSet> anneal;
  if (draw.anneals) anneal = test::counting_tokens(20, 5);
  StopAt objective(model, test::counting_tokens(60, 1), test::counting_tokens(10, 2), draw.pretrain,
                   std::move(anneal));
  objective.stop = stop;
  auto options = draw.train;
  options.run_dir = run_dir;
  options.resume = true;
  if (stop < 0 || stop >= objective.total_steps()) {
    train::run(objective, options, test::tiny_record(options), "");
  } else {
    CHECK_THROWS_AS(train::run(objective, options, test::tiny_record(options), ""), Stopped);
  }
  return objective.total_steps();
}

}  // namespace

TEST_CASE("any run that is cut anywhere ends in the bytes of one that is not", "[train]") {
  std::map<std::string, int> seen;
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    const test::ScratchFolder folder;
    const auto options = draw(seed, "");
    Rng rng(seed, stream_of(RandomStream::test, 1));
    const int64_t total = run_to(options, -1, 1, folder.file("whole"));
    std::string cuts;
    for (int64_t at = 0; at < total;) {
      at += 1 + static_cast<int64_t>(rng.below(static_cast<uint64_t>(total) / 2));
      cuts += str(" ", std::min(at, total));
      run_to(options, at, 1 + static_cast<int>(rng.below(3)), folder.file("parts"));
    }
    INFO("seed " << seed << " cut at" << cuts);
    CHECK(test::steady_metrics(folder.file("parts")) == test::steady_metrics(folder.file("whole")));
    CHECK(test::checkpoint_bytes(folder.file("parts"), total) ==
          test::checkpoint_bytes(folder.file("whole"), total));
    seen["muon"] += options.train.optimizer == train::OptimizerKind::muon ? 1 : 0;
    seen["bf16"] += options.train.compute == runtime::DType::bf16 ? 1 : 0;
    seen["ramp"] += options.pretrain.ramp_share > 0 ? 1 : 0;
    seen["anneal"] += options.anneals ? 1 : 0;
    seen["z-loss"] += options.pretrain.z_loss > 0 ? 1 : 0;
    if (test::steady_metrics(folder.file("whole")).find("\"skipped\":1") != std::string::npos)
      ++seen["skipped"];
  }
  for (const char* option : {"muon", "bf16", "ramp", "anneal", "z-loss", "skipped"}) {
    INFO(option);
    CHECK(seen[option] > 0);  // the draw covers what it is for
  }
}

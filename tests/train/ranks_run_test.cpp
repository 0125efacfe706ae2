#include <filesystem>
#include <functional>
#include <optional>

#include "support/catch.hpp"
#include "support/scratch.hpp"
#include "support/thread_ranks.hpp"
#include "train/ranks.hpp"
#include "train_fixtures.hpp"

using namespace gristmill;

namespace {

/// The tiny pre-training of the fixtures, by `count` ranks that are threads; `change` gives a rank options of
/// its own.
void run_on(int count, const train::TrainOptions& given,
            const std::function<void(int, train::TrainOptions&)>& change = {}) {
  test::run_ranks(count, [&](runtime::Collective& collective) {
    train::TrainOptions options = given;
    if (change) change(collective.rank(), options);
    const auto device = runtime::open_device("cpu", 1);
    model::Transformer model(*device, test::tiny_config());
    model::initialize(model.parameters(), options.seed);
    const auto& parameters = model.parameters();
    train::Ranks ranks(
        collective, *device,
        train::partition(parameters.table(), parameters.all().cols, count,
                         [&](const auto& tensor) { return train::is_whole(tensor, options.optimizer); }));
    train::PretrainObjective objective(model, test::counting_tokens(60, 1), test::counting_tokens(10, 2),
                                       test::tiny_pretrain(), std::nullopt, &ranks);
    train::run(objective, options, test::tiny_record(options), "");
  });
}

}  // namespace

TEST_CASE("a run on several ranks ends in the bytes of a run on one, and goes on with any number",
          "[train]") {
  for (const auto kind : {train::OptimizerKind::adamw, train::OptimizerKind::muon}) {
    const test::ScratchFolder folder;
    const auto options_for = [&](const std::string& name) {
      auto options = test::tiny_train(folder.file(name));
      options.optimizer = kind;
      options.keep_checkpoints = 0;
      return options;
    };
    const auto device = runtime::open_device("cpu", 2);
    test::run_tiny(*device, options_for("alone"));
    CAPTURE(static_cast<int>(kind));
    auto options = options_for("together");
    run_on(3, options);
    for (const int64_t step : {4, 12})
      CHECK(test::checkpoint_bytes(options.run_dir, step) ==
            test::checkpoint_bytes(folder.file("alone"), step));
    CHECK(test::steady_metrics(options.run_dir) == test::steady_metrics(folder.file("alone")));
    std::filesystem::remove_all(std::filesystem::path(options.run_dir) / "checkpoints" / "step-12");
    options.resume = true;
    run_on(2, options);
    CHECK(test::checkpoint_bytes(options.run_dir, 12) == test::checkpoint_bytes(folder.file("alone"), 12));
    CHECK(test::steady_metrics(options.run_dir) == test::steady_metrics(folder.file("alone")));
  }
}

TEST_CASE("ranks that were started with different options do not train", "[train]") {
  const test::ScratchFolder folder;
  const auto options = test::tiny_train(folder.file("run"));
  const auto rate = [](int rank, train::TrainOptions& mine) {
    if (rank == 1) mine.learning_rate *= 2;
  };
  CHECK_THROWS_WITH(run_on(2, options, rate),
                    test::contains("rank 1 was started with other options") && test::contains("lr (was "));
  CHECK_FALSE(std::filesystem::exists(options.run_dir));
  const auto level = [](int rank, train::TrainOptions& mine) {  // changes no bit
    if (rank == 1) mine.recompute = model::Recompute::block;
  };
  CHECK_NOTHROW(run_on(2, options, level));
}

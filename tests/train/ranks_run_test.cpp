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
/// its own, `held_out` data of its own, and each adds `note` to its record.
void run_on(int count, const train::TrainOptions& given,
            const std::function<void(int, train::TrainOptions&)>& change = {},
            const std::function<shard::TokenSet(int)>& held_out = {},
            const std::function<std::string(int)>& note = {}) {
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
    const int rank = collective.rank();
    train::PretrainObjective objective(model, test::counting_tokens(60, 1),
                                       held_out ? held_out(rank) : test::counting_tokens(10, 2),
                                       test::tiny_pretrain(), std::nullopt, &ranks);
    Json record = test::tiny_record(options);
    if (note) record["note"] = note(rank);
    train::run(objective, options, record, "");
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

TEST_CASE("ranks that would save or validate at different steps do not train", "[train]") {
  const test::ScratchFolder folder;
  const auto options = test::tiny_train(folder.file("run"));
  const auto saves = [](int rank, train::TrainOptions& mine) {
    if (rank == 1) mine.checkpoint_every = 5;
  };
  CHECK_THROWS_WITH(run_on(2, options, saves), test::contains("checkpoint-every (was 4, now 5)"));
  const auto validates = [](int rank, train::TrainOptions& mine) {
    if (rank == 1) mine.validate_every = 0;
  };
  CHECK_THROWS_WITH(run_on(2, options, validates), test::contains("validate-every (was 3, now 0)"));
  const auto other = [](int rank) { return test::counting_tokens(10, rank == 0 ? 2 : 3); };
  CHECK_THROWS_WITH(run_on(2, options, {}, other), test::contains("held_out_data"));
  CHECK_FALSE(std::filesystem::exists(options.run_dir));
  const auto keeps = [](int rank, train::TrainOptions& mine) {  // the first alone removes any
    if (rank == 1) mine.keep_checkpoints = 9;
  };
  CHECK_NOTHROW(run_on(2, options, keeps));
}

TEST_CASE("records of any length are compared among ranks", "[train]") {
  const test::ScratchFolder folder;
  const auto options = test::tiny_train(folder.file("run"));
  const auto differs_at_the_end = [](int rank) { return std::string(3 << 20, 'x') + str(rank); };
  CHECK_THROWS_WITH(run_on(2, options, {}, {}, differs_at_the_end), test::contains("note (was \"hash "));
  CHECK_FALSE(std::filesystem::exists(options.run_dir));
  CHECK_NOTHROW(run_on(2, options, {}, {}, [](int) { return std::string(3 << 20, 'x'); }));
}

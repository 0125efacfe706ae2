#include <optional>

#include "support/catch.hpp"
#include "support/scratch.hpp"
#include "support/thread_ranks.hpp"
#include "train/ranks.hpp"
#include "train_fixtures.hpp"

using namespace gristmill;

namespace {

/// The tiny pre-training of the fixtures, by `count` ranks that are threads.
void run_on(int count, const train::TrainOptions& options) {
  test::run_ranks(count, [&](runtime::Collective& collective) {
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

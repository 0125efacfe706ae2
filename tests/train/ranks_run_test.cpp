#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/counting_device.hpp"
#include "support/scratch.hpp"
#include "support/thread_ranks.hpp"
#include "train/memory_plan.hpp"
#include "train/ranks.hpp"
#include "train/run_directory.hpp"
#include "train_fixtures.hpp"

using namespace gristmill;

namespace {

/// A model, how it is updated, and by how many ranks.
struct Run {
  model::Config config = test::tiny_config();
  train::TrainOptions train;
  int ranks = 1;
  int zero = 1;
  // Of a rank, where they are not the same: its options, its held-out data, a note in its record.
  std::function<void(int, train::TrainOptions&)> change;
  std::function<shard::TokenSet(int)> held_out;
  std::function<std::string(int)> note;
  std::vector<int64_t>* peaks = nullptr;  ///< by rank, the most memory that it held on its device
};

/// The tiny pre-training of the fixtures on one of the ranks.
void run_on(runtime::Collective& collective, const Run& run) {
  const int rank = collective.rank();
  train::TrainOptions options = run.train;
  if (run.change) run.change(rank, options);
  test::CountingDevice device(runtime::open_device("cpu", 1, options.compute));
  model::Transformer model(device, run.config, options.weights);
  model::initialize(model.parameters(), options.seed);
  train::Ranks ranks(
      collective, device,
      train::partition(model.parameters().table(), run.ranks,
                       [&](const auto& tensor) { return train::is_whole(tensor, options.optimizer); }),
      {run.zero});
  train::PretrainObjective objective(model, test::counting_tokens(60, 1),
                                     run.held_out ? run.held_out(rank) : test::counting_tokens(10, 2),
                                     test::tiny_pretrain(), std::nullopt, &ranks);
  Json record = test::tiny_record(options);
  if (run.note) record["note"] = run.note(rank);
  train::run(objective, options, record, "");
  if (run.peaks != nullptr) (*run.peaks)[static_cast<size_t>(rank)] = device.peak();
}

/// By ranks that are threads.
void run(const Run& run) {
  test::run_ranks(run.ranks, [&](runtime::Collective& collective) { run_on(collective, run); });
}

/// By two ranks that differ in something.
void run_two(const train::TrainOptions& options,
             const std::function<void(int, train::TrainOptions&)>& change = {},
             const std::function<shard::TokenSet(int)>& held_out = {},
             const std::function<std::string(int)>& note = {}) {
  Run two;
  two.train = options;
  two.ranks = 2;
  two.change = change;
  two.held_out = held_out;
  two.note = note;
  run(two);
}

/// Layers of 12 blocks of the norm, of which no rank has all.
model::Config wide_config() {
  model::Config config = test::tiny_config(false);
  config.vocab_size = 300;  // so that the head is cut too
  config.dim = 64;
  config.heads = 4;
  config.kv_heads = 2;
  config.head_dim = 16;
  config.hidden_dim = 192;
  config.layers = 3;
  return config;
}

std::vector<std::pair<std::string, model::Config>> configs() {
  auto tied = wide_config();
  tied.tied = true;
  auto experts = wide_config();
  experts.experts = 4;
  experts.experts_per_token = 2;
  experts.router_balance = 0.01;
  experts.hidden_dim = 40;
  experts.layers = 2;
  auto gpt2 = test::tiny_config(true);
  gpt2.family = model::Family::gpt2;
  gpt2.kv_heads = gpt2.heads;
  gpt2.layers = 1;
  return {{"untied", wide_config()},
          {"tied", tied},
          {"experts", experts},
          {"gpt2", gpt2},  // fewer blocks than ranks
          {"tiny", test::tiny_config()}};
}

}  // namespace

TEST_CASE("a run on several ranks ends in the bytes of a run on one, at every stage of ZeRO", "[train]") {
  for (const auto kind : {train::OptimizerKind::adamw, train::OptimizerKind::muon}) {
    for (const auto& [name, config] : configs()) {
      const test::ScratchFolder folder;
      Run of;
      of.config = config;
      of.train = test::tiny_train(folder.file("alone"));
      of.train.optimizer = kind;
      run(of);
      const auto alone = test::checkpoint_bytes(of.train.run_dir, 12);
      const auto metrics = test::steady_metrics(of.train.run_dir);
      for (const auto& [ranks, zero] : {std::pair{2, 1}, {2, 2}, {3, 2}, {4, 1}, {4, 2}}) {
        CAPTURE(static_cast<int>(kind), name, ranks, zero);
        of.train.run_dir = folder.file(str(ranks, "-", zero));
        of.ranks = ranks;
        of.zero = zero;
        run(of);
        CHECK((test::checkpoint_bytes(of.train.run_dir, 12) == alone));
        CHECK((test::steady_metrics(of.train.run_dir) == metrics));
      }
    }
  }
}

TEST_CASE("a run goes on with any number of ranks and any stage of ZeRO", "[train]") {
  for (const auto kind : {train::OptimizerKind::adamw, train::OptimizerKind::muon}) {
    CAPTURE(static_cast<int>(kind));
    const test::ScratchFolder folder;
    Run of;
    of.config = wide_config();
    of.train = test::tiny_train(folder.file("alone"));
    of.train.optimizer = kind;
    of.train.keep_checkpoints = 0;
    run(of);
    const Run alone = of;
    of.train.run_dir = folder.file("parts");
    const auto go_on = [&](int ranks, int zero, int64_t keep) {
      for (const int64_t step : {4, 8, 12}) {
        const auto checkpoint = std::filesystem::path(of.train.run_dir) / "checkpoints" / str("step-", step);
        if (step > keep) std::filesystem::remove_all(checkpoint);
      }
      of.ranks = ranks;
      of.zero = zero;
      run(of);
      of.train.resume = true;
    };
    go_on(3, 2, 0);
    CHECK((test::checkpoint_bytes(of.train.run_dir, 4) == test::checkpoint_bytes(alone.train.run_dir, 4)));
    go_on(2, 1, 4);
    CHECK((test::checkpoint_bytes(of.train.run_dir, 8) == test::checkpoint_bytes(alone.train.run_dir, 8)));
    go_on(1, 2, 8);
    CHECK((test::checkpoint_bytes(of.train.run_dir, 12) == test::checkpoint_bytes(alone.train.run_dir, 12)));
    CHECK((test::steady_metrics(of.train.run_dir) == test::steady_metrics(alone.train.run_dir)));
  }
}

TEST_CASE("weights in bf16 are rounded alike by any ranks, and a run of them goes on as it would have",
          "[train]") {
  const test::ScratchFolder folder;
  Run of;
  of.config = wide_config();
  of.train = test::tiny_train(folder.file("alone"));
  of.train.compute = runtime::DType::bf16;
  of.train.weights = model::WeightStorage::bf16;
  of.train.keep_checkpoints = 0;
  run(of);
  const Run alone = of;
  of.train.run_dir = folder.file("parts");
  of.ranks = 3;
  of.zero = 2;
  run(of);
  CHECK((test::checkpoint_bytes(of.train.run_dir, 12) == test::checkpoint_bytes(alone.train.run_dir, 12)));
  for (const int64_t step : {8, 12})
    std::filesystem::remove_all(std::filesystem::path(of.train.run_dir) / "checkpoints" / str("step-", step));
  of.ranks = 2;
  of.zero = 1;
  of.train.resume = true;
  run(of);
  CHECK((test::checkpoint_bytes(of.train.run_dir, 12) == test::checkpoint_bytes(alone.train.run_dir, 12)));
  CHECK((test::steady_metrics(of.train.run_dir) == test::steady_metrics(alone.train.run_dir)));
}

TEST_CASE("at stage 2 the ranks hold less, and both stages what is planned", "[train]") {
  auto config = wide_config();
  config.layers = 8;
  for (const auto kind : {train::OptimizerKind::adamw, train::OptimizerKind::muon}) {
    int64_t before = 0;
    for (const int zero : {1, 2}) {
      CAPTURE(static_cast<int>(kind), zero);
      const test::ScratchFolder folder;
      std::vector<int64_t> peaks(4);
      Run of;
      of.config = config;
      of.train = test::tiny_train(folder.file("run"));
      of.train.optimizer = kind;
      of.ranks = 4;
      of.zero = zero;
      of.peaks = &peaks;
      run(of);
      train::MemoryPlanOptions options = train::memory_options(of.train);
      options.ranks = of.ranks;
      options.zero = zero;
      const auto pretrain = test::tiny_pretrain();
      const auto ids = [](const shard::TokenSet& tokens) { return static_cast<int64_t>(tokens.ids.size()); };
      options.extent = train::pretrain_extent(pretrain, config.context, ids(test::counting_tokens(60, 1)), 0,
                                              ids(test::counting_tokens(10, 2)));
      options.objective_bytes =
          train::PretrainObjective::bytes(config, options.extent, options.real, pretrain);
      uint64_t planned = 0;
      for (const auto& part : train::plan_memory(config, options).parts) {
        // Not from allocate(), or not at the same time.
        if (part.name == "packed weights" || part.name == "head" || part.name.starts_with("a checkpoint"))
          continue;
        planned += part.bytes;
      }
      const auto most = static_cast<uint64_t>(*std::max_element(peaks.begin(), peaks.end()));
      constexpr uint64_t kExchanged = uint64_t{1} << 20;  // what travels at once
      CHECK(most >= planned);
      CHECK(most <= planned + kExchanged);
      const int64_t layers = 6 * model::buckets_of(model::parameter_table(config))[1].size * 4;
      if (zero == 2) CHECK(*std::max_element(peaks.begin(), peaks.end()) == before - layers);
      before = *std::max_element(peaks.begin(), peaks.end());
    }
  }
}

TEST_CASE("ranks that were started with different options do not train", "[train]") {
  const test::ScratchFolder folder;
  const auto options = test::tiny_train(folder.file("run"));
  const auto rate = [](int rank, train::TrainOptions& mine) {
    if (rank == 1) mine.learning_rate *= 2;
  };
  CHECK_THROWS_WITH(run_two(options, rate),
                    test::contains("rank 1 was started with other options") && test::contains("lr (was "));
  CHECK_FALSE(std::filesystem::exists(options.run_dir));
  const auto level = [](int rank, train::TrainOptions& mine) {  // changes no bit
    if (rank == 1) mine.recompute = model::Recompute::block;
  };
  CHECK_NOTHROW(run_two(options, level));
}

TEST_CASE("ranks with different stages of ZeRO do not train, but a run may be resumed at another",
          "[train]") {
  Json first = Json::object(), second = Json::object();
  first["zero"] = 1;
  second["zero"] = 2;
  CHECK(train::differences(first, second, train::Between::ranks).size() == 1);
  CHECK(train::differences(first, second, train::Between::runs).empty());
  CHECK(train::differences(Json::object(), second, train::Between::runs).empty());
}

TEST_CASE("ranks that would save or validate at different steps do not train", "[train]") {
  const test::ScratchFolder folder;
  const auto options = test::tiny_train(folder.file("run"));
  const auto saves = [](int rank, train::TrainOptions& mine) {
    if (rank == 1) mine.checkpoint_every = 5;
  };
  CHECK_THROWS_WITH(run_two(options, saves), test::contains("checkpoint-every (was 4, now 5)"));
  const auto validates = [](int rank, train::TrainOptions& mine) {
    if (rank == 1) mine.validate_every = 0;
  };
  CHECK_THROWS_WITH(run_two(options, validates), test::contains("validate-every (was 3, now 0)"));
  const auto other = [](int rank) { return test::counting_tokens(10, rank == 0 ? 2 : 3); };
  CHECK_THROWS_WITH(run_two(options, {}, other), test::contains("held_out_data"));
  CHECK_FALSE(std::filesystem::exists(options.run_dir));
  const auto keeps = [](int rank, train::TrainOptions& mine) {  // the first alone removes any
    if (rank == 1) mine.keep_checkpoints = 9;
  };
  CHECK_NOTHROW(run_two(options, keeps));
}

TEST_CASE("records of any length are compared among ranks", "[train]") {
  const test::ScratchFolder folder;
  const auto options = test::tiny_train(folder.file("run"));
  const auto differs_at_the_end = [](int rank) { return std::string(3 << 20, 'x') + str(rank); };
  CHECK_THROWS_WITH(run_two(options, {}, {}, differs_at_the_end), test::contains("note (was \"hash "));
  CHECK_FALSE(std::filesystem::exists(options.run_dir));
  CHECK_NOTHROW(run_two(options, {}, {}, [](int) { return std::string(3 << 20, 'x'); }));
}

// What the tuning tools announce against what they hold, and the FLOPs they state.

#include "align/tuning_memory.hpp"

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "align/dpo.hpp"
#include "align/flops.hpp"
#include "align/reward.hpp"
#include "align/sft.hpp"
#include "align/tiny_config.hpp"
#include "base/error.hpp"
#include "base/json.hpp"
#include "base/log.hpp"
#include "base/rng.hpp"
#include "decode/generator.hpp"
#include "support/catch.hpp"
#include "support/counting_device.hpp"
#include "support/scratch.hpp"
#include "train/metrics.hpp"

using namespace gristmill;
using namespace gristmill::align;

namespace {

const bool kQuiet = [] {
  log::set_level(log::Level::quiet);
  return true;
}();

std::unique_ptr<model::Transformer> made(runtime::Device& device, model::Head head, uint64_t seed) {
  auto model = std::make_unique<model::Transformer>(device, test::tiny_config(head, 3));
  model::initialize(model->parameters(), seed);
  return model;
}

/// Prompts of 3 ids and responses of 1 to 9.
std::vector<Sequence> sequences(size_t count) {
  Rng rng(3, stream_of(RandomStream::test));
  std::vector<Sequence> result;
  for (size_t i = 0; i < count; ++i) {
    Sequence sequence;
    for (size_t t = 0; t < 4 + i % 9; ++t) {
      sequence.ids.push_back(static_cast<uint32_t>(rng.below(11)));
      sequence.mask.push_back(t >= 3 ? 1 : 0);
    }
    result.push_back(std::move(sequence));
  }
  return result;
}

std::vector<PairExample> pairs(size_t count) {
  std::vector<PairExample> result;
  const auto all = sequences(2 * count);
  for (size_t i = 0; i < count; ++i) result.push_back({all[2 * i], all[2 * i + 1], 0});
  return result;
}

/// Of a plan without the device's own working memory, which is not asked for through its allocate().
uint64_t allocated(const train::MemoryPlan& plan) {
  uint64_t sum = 0;
  for (const auto& part : plan.parts) {
    const bool internal =
        part.name.ends_with("packed weights") || part.name == "head" || part.name.starts_with("a checkpoint");
    if (!internal) sum += part.bytes;
  }
  return sum;
}

uint64_t head_of(const train::MemoryPlan& plan) {
  for (const auto& part : plan.parts) {
    if (part.name == "head") return part.bytes;
  }
  return 0;
}

train::TrainOptions run_options(const std::string& folder, model::Recompute level) {
  train::TrainOptions options;
  options.run_dir = folder;
  options.recompute = level;
  options.checkpoint_every = options.validate_every = 1;
  return options;
}

/// Runs the objective to its end and compares; a few numbers and the rotary frequencies are beside the plan.
void check_plan(test::CountingDevice& device, train::Objective& objective, const train::TrainOptions& options,
                const train::MemoryPlan& plan, uint64_t beside) {
  train::run(objective, options, Json::object(), "");
  const auto peak = static_cast<uint64_t>(device.peak());
  INFO("level " << static_cast<int>(options.recompute));
  CHECK(peak >= allocated(plan));
  CHECK(peak <= allocated(plan) + beside);
  for (const auto& line : train::read_metrics(options.run_dir)) {
    CHECK(line.at("mfu").as_double() > 0);
    CHECK(line.at("mfu").as_double() < 1);
  }
}

constexpr model::Recompute kLevels[] = {model::Recompute::none, model::Recompute::norms,
                                        model::Recompute::block};

}  // namespace

TEST_CASE("sft, reward-train and dpo hold what their plans say", "[align]") {
  for (const auto level : kLevels) {
    const test::ScratchFolder folder;
    {
      test::CountingDevice device(runtime::open_device("cpu", 1));
      const auto model = made(device, model::Head::language, 1);
      const SftOptions options{1, 5, 20, 1};
      SftObjective objective(*model, sequences(12), sequences(30), options);
      const auto loop = run_options(folder.file("sft"), level);
      const auto extent = tuning_extent(sequences(12), sequences(30), options);
      CHECK(extent.kept == 20);
      check_plan(device, objective, loop, plan_tuning(model->config(), extent, loop), 64);
    }
    {
      test::CountingDevice device(runtime::open_device("cpu", 1));
      const auto model = made(device, model::Head::scalar, 1);
      const RewardTrainOptions options{1, 3, 30, 0.01, 1};
      RewardObjective objective(*model, pairs(7), pairs(2), options);
      const auto loop = run_options(folder.file("reward"), level);
      check_plan(device, objective, loop,
                 plan_tuning(model->config(), tuning_extent(pairs(7), pairs(2), options), loop), 64);
    }
    {
      test::CountingDevice device(runtime::open_device("cpu", 1));
      const auto model = made(device, model::Head::language, 1);
      DpoOptions options;
      options.micro_batch_tokens = 30;
      options.batch_size = 3;
      const auto references = reference_log_probs(*model, pairs(7), 30);
      DpoObjective objective(*model, pairs(7), references, {}, {}, options);
      const auto loop = run_options(folder.file("dpo"), level);
      check_plan(device, objective, loop,
                 plan_tuning(model->config(), tuning_extent(pairs(7), {}, options), loop), 64);
    }
  }
}

TEST_CASE("ppo holds what its plan says, the four models and the cache", "[align]") {
  for (const auto level : kLevels) {
    const test::ScratchFolder folder;
    test::CountingDevice device(runtime::open_device("cpu", 1));
    const auto policy = made(device, model::Head::language, 1),
               reference = made(device, model::Head::language, 1);
    const auto reward = made(device, model::Head::scalar, 2), critic = made(device, model::Head::scalar, 2);
    std::vector<PromptExample> prompts;
    for (const auto& sequence : sequences(12)) prompts.push_back({sequence.ids, {}});
    PpoOptions options;
    options.iterations = 2;
    options.rollout_batch = 6;
    options.max_response_tokens = 6;
    options.micro_batch_tokens = 20;
    options.epochs = 1;
    PpoObjective objective(*policy, *critic, *reference, *reward, prompts, 11, options);
    const auto loop = run_options(folder.file("ppo"), level);
    const auto plan = plan_ppo(policy->config(), reward->config(), prompts, options, loop);
    for (const char* part : {"policy: parameters", "critic: optimizer state", "reference: parameters",
                             "reward model: parameters", "policy: cached keys and values"}) {
      INFO(part);
      CHECK(std::any_of(plan.parts.begin(), plan.parts.end(),
                        [&](const auto& entry) { return entry.name == part && entry.bytes > 0; }));
    }
    // Beside it: logits and random numbers of the sampling, which stand in the plan as the head's.
    check_plan(device, objective, loop, plan, head_of(plan) + 512);
  }
}

TEST_CASE("the largest sum of a micro-batch is found without looking at every batch", "[align]") {
  CHECK(most_tokens({}, 3, 100) == 0);
  CHECK(most_tokens({5, 9, 2, 7}, 2, 100) == 16);
  CHECK(most_tokens({5, 9, 2, 7}, 4, 20) == 20);
  CHECK(most_tokens({5, 9, 2, 7}, 4, 3) == 9);  // a longer item stands alone
}

TEST_CASE("a forward pass's FLOPs are those of its products", "[align]") {
  // A layer: 16·(16 + 8 + 8) + 16·16 + 3·16·24 = 1,920, and two norms of 16; the
  // final norm 16.
  const double body = 3 * (1920 + 32) + 16;
  model::Batch batch;
  batch.add(std::vector<uint32_t>(5, 1));
  batch.add(std::vector<uint32_t>(2, 1));
  const double attention = 4.0 * 3 * 16 * (25 + 4);
  CHECK(ForwardFlops(test::tiny_config(model::Head::language, 3))(batch, 3) ==
        Approx(2 * body * 7 + 2.0 * 12 * 16 * 3 + attention));
  auto untied = test::tiny_config(model::Head::language, 3);
  untied.tied = false;
  CHECK(ForwardFlops(untied)(batch, 3) == Approx(2 * body * 7 + 2.0 * 12 * 16 * 3 + attention));
  CHECK(ForwardFlops(test::tiny_config(model::Head::scalar, 3))(batch, 3) ==
        Approx(2 * (body + 16) * 7 + attention));
  auto sparse = test::tiny_config(model::Head::language, 3);
  sparse.experts = 5;  // a token meets two, and the router's 5 rows of 16
  CHECK(ForwardFlops(sparse)(batch, 3) ==
        Approx(2 * (body + 3.0 * (3 * 16 * 24 + 5 * 16)) * 7 + 2.0 * 12 * 16 * 3 + attention));
}

TEST_CASE("a plan of PPO stays within its numbers' range whatever is asked for", "[align]") {
  PpoOptions options;
  options.rollout_batch = 1'000'000'000'000'000'000;
  CHECK_THROWS_WITH(validate(options), test::contains("--rollout-batch must not be above 65536"));
  options.rollout_batch = 65536;
  options.iterations = int64_t{1} << 40;
  CHECK_THROWS_WITH(validate(options), test::contains("--iterations"));
  options.iterations = 1;
  options.max_response_tokens = int64_t{1} << 40;
  CHECK_THROWS_WITH(validate(options), test::contains("--max-response-tokens"));
  options.max_response_tokens = int64_t{1} << 28;
  CHECK_NOTHROW(validate(options));
  auto config = test::tiny_config(model::Head::language, 3);
  config.context = int64_t{1} << 28;
  config.layers = 4096;
  config.head_dim = 1024;
  const auto plan = plan_ppo(config, test::tiny_config(model::Head::scalar, 3), {{{1, 2, 3}, {}}}, options,
                             train::TrainOptions());
  CHECK(plan.total() > uint64_t{1} << 61);
  CHECK_THROWS_AS(EpochSampler(10, INT64_MAX, 1, 1), Error);
  CHECK_THROWS_AS(EpochSampler(10, 1, INT64_MAX, 1), Error);
}

TEST_CASE("prompts are read in as many rows as the sampling takes", "[align]") {
  PpoOptions options;
  options.rollout_batch = 64;
  const std::vector<PromptExample> prompts = {{std::vector<uint32_t>(100, 1), {}}};
  CHECK(ppo_extent(prompts, options).rows == decode::kPrefillRows);
}

TEST_CASE("a plan of several models adds up their parts and shares the device's own memory", "[align]") {
  const train::TrainOptions options;
  const auto config = test::tiny_config(model::Head::language, 3);
  const auto one = plan_tuning(config, {64, 0}, options);
  train::MemoryPlan two;
  two.add("a", one);
  two.add("b", one);
  CHECK(two.total() > 2 * allocated(one));
  CHECK(two.total() < 2 * one.total());
  const auto reference = plan_reference(config, config, 64, options);
  CHECK(reference.total() < one.total());
  CHECK(reference.parts.back().name == "policy: parameters");
}

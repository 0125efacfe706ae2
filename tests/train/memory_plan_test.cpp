#include "train/memory_plan.hpp"

#include <algorithm>
#include <optional>
#include <string>

#include "base/error.hpp"
#include "support/catch.hpp"
#include "support/counting_device.hpp"
#include "support/scratch.hpp"
#include "train/train_fixtures.hpp"

using namespace gristmill;

namespace {

uint64_t part(const train::MemoryPlan& plan, const std::string& name) {
  for (const auto& part : plan.parts) {
    if (part.name == name) return part.bytes;
  }
  FAIL("no part " << name);
  return 0;
}

/// The peak that the trainer's goals are set for: GPT-2's shape with 124 million parameters.
model::Config gpt2_small() {
  model::Config config;
  config.family = model::Family::gpt2;
  config.vocab_size = 50257;
  config.dim = 768;
  config.layers = 12;
  config.heads = config.kv_heads = 12;
  config.head_dim = 64;
  config.hidden_dim = 3072;
  config.context = 256;
  return config;
}

}  // namespace

TEST_CASE("the plan's parameters and moments are those that are allocated", "[train]") {
  const auto device = runtime::open_device("cpu", 1);
  const auto config = test::tiny_config();
  const auto table = model::parameter_table(config);
  const auto bytes = [&](const std::vector<model::ParameterInfo>& of) {
    return static_cast<uint64_t>(model::ParameterSet(*device, of).all().size()) * 4;
  };
  train::MemoryPlanOptions options;
  options.extent.kept = 64;
  const auto adamw = train::plan_memory(config, options);
  CHECK(part(adamw, "parameters") == bytes(table));
  CHECK(part(adamw, "gradients") == bytes(table));
  CHECK(part(adamw, "optimizer state") ==
        bytes(table) + bytes(train::second_moments(table, options.optimizer)));
  options.optimizer = train::OptimizerKind::muon;
  const auto muon = train::plan_memory(config, options);
  CHECK(part(muon, "optimizer state") ==
        bytes(table) + bytes(train::second_moments(table, options.optimizer)));
  uint64_t sum = 0;
  for (const auto& part : muon.parts) sum += part.bytes;
  CHECK(muon.total() == sum);
}

TEST_CASE("of several ranks each has its part of the optimizer's state, and at stage 2 few gradients at once",
          "[train]") {
  const auto share = [](uint64_t part, uint64_t whole) {
    return static_cast<double>(part) / static_cast<double>(whole);
  };
  train::MemoryPlanOptions options;
  options.extent.kept = 1024;
  for (const auto kind : {train::OptimizerKind::adamw, train::OptimizerKind::muon}) {
    options.optimizer = kind;
    options.ranks = options.zero = 1;
    const auto alone = train::plan_memory(gpt2_small(), options);
    options.ranks = 4;
    const auto first = train::plan_memory(gpt2_small(), options);
    options.zero = 2;
    const auto second = train::plan_memory(gpt2_small(), options);
    const double unevenness = kind == train::OptimizerKind::adamw ? 0.01 : 0.3;  // Muon's matrices are whole
    for (const auto& plan : {first, second}) {
      CHECK(share(part(plan, "optimizer state"), part(alone, "optimizer state")) ==
            Approx(0.25).epsilon(unevenness));
      CHECK(share(part(plan, "own part of the summed gradients"), part(alone, "gradients")) ==
            Approx(0.25).epsilon(unevenness));
    }
    CHECK(part(first, "gradients") == part(alone, "gradients"));
    // All but ten of the twelve layers, of 12·768² and 13·768 numbers, which begin at whole blocks.
    const uint64_t layer = (uint64_t{12} * 768 * 768 + 13 * 768 + 4095) / 4096 * 4096;
    CHECK(part(second, "gradients") == part(alone, "gradients") - 10 * layer * 4);
  }
}

TEST_CASE("the plan grows with the micro-batch and shrinks in bf16", "[train]") {
  train::MemoryPlanOptions options;
  options.extent.kept = 1024;
  const auto fp32 = train::plan_memory(gpt2_small(), options);
  CHECK(part(fp32, "parameters") == Approx(4 * 124.1e6).epsilon(0.01));
  const std::string activations = "activations of one micro-batch";
  // A layer keeps about 2·768 + 3·768 + 768 + 3072 = 7,680 numbers a token.
  CHECK(part(fp32, activations) > uint64_t{4} * 1024 * 12 * 7680);
  CHECK(part(fp32, activations) < uint64_t{7} * 1024 * 12 * 7680);
  options.compute = runtime::DType::bf16;
  CHECK(10 * part(train::plan_memory(gpt2_small(), options), activations) < 8 * part(fp32, activations));
  options.compute = runtime::DType::f32;
  options.extent.kept = 2048;
  const uint64_t head = uint64_t{4} * 50257 * 768;  // the tied head's gradient does not grow with the batch
  const auto twice = train::plan_memory(gpt2_small(), options);
  CHECK(static_cast<double>(part(twice, activations) - head) ==
        Approx(2 * static_cast<double>(part(fp32, activations) - head)).epsilon(1e-6));
  options.extent.passing = 2048;
  const uint64_t validating = part(train::plan_memory(gpt2_small(), options), activations);
  CHECK(validating > part(twice, activations));
  options.recompute = model::Recompute::block;
  CHECK(3 * part(train::plan_memory(gpt2_small(), options), activations) < 2 * validating);
}

TEST_CASE("a run holds what its plan says, for every model, type, level and optimizer", "[train]") {
  for (const bool gpt2 : {false, true}) {
    for (const auto compute : {runtime::DType::f32, runtime::DType::bf16}) {
      for (const auto level : {model::Recompute::none, model::Recompute::norms, model::Recompute::block}) {
        for (const int variant : {0, 1}) {  // AdamW alone; Muon with z-loss and held-out data
          auto config = test::tiny_config(variant == 0);
          if (gpt2) {
            config.family = model::Family::gpt2;
            config.kv_heads = config.heads;
            config.tied = true;
          }
          config.qk_norm = !gpt2 && variant == 1;
          const test::ScratchFolder folder;
          auto options = test::tiny_train(folder.file("run"));
          options.compute = compute;
          options.recompute = level;
          if (variant == 1) options.optimizer = train::OptimizerKind::muon;
          auto pretrain = test::tiny_pretrain();
          if (variant == 1) pretrain.z_loss = 1e-4;
          const auto tokens = test::counting_tokens(60, 1), held_out = test::counting_tokens(10, 2);
          train::MemoryPlanOptions plan;
          plan.compute = compute;
          plan.recompute = level;
          plan.optimizer = options.optimizer;
          plan.extent =
              train::pretrain_extent(pretrain, config.context, static_cast<int64_t>(tokens.ids.size()), 0,
                                     variant == 1 ? static_cast<int64_t>(held_out.ids.size()) : 0);
          plan.objective_bytes = train::PretrainObjective::bytes(config, plan.extent, plan.real, pretrain);
          uint64_t planned = 0;
          for (const auto& part : train::plan_memory(config, plan).parts) {
            // The device's own working memory is not asked for through its allocate().
            if (part.name == "packed weights" || part.name == "head" || part.name.starts_with("a checkpoint"))
              continue;
            planned += part.bytes;
          }
          test::CountingDevice device(runtime::open_device("cpu", 1, compute));
          model::Transformer model(device, config);
          model::initialize(model.parameters(), 1);
          train::PretrainObjective objective(model, tokens,
                                             variant == 1 ? std::optional(held_out) : std::nullopt, pretrain);
          train::run(objective, options, Json::object(), "");
          INFO(config.to_json().dump() << " level " << static_cast<int>(level) << " variant " << variant);
          const auto peak = static_cast<uint64_t>(device.peak());
          CHECK(peak >= planned);
          CHECK(peak < planned + 64);  // sums of a few numbers, the rotary frequencies
        }
      }
    }
  }
}

TEST_CASE("packed weights of experts are judged by the rows of all their tokens", "[train]") {
  auto config = test::tiny_config();
  config.experts = 4;
  config.experts_per_token = 2;
  const auto table = model::parameter_table(config);
  uint64_t dense = 0, experts = 0, expert = 0;
  for (const auto& info : table) {
    const auto size = static_cast<uint64_t>(info.size());
    if (info.rows == 1) continue;
    const bool is_expert = info.name.find(".experts.") != std::string::npos;
    (is_expert ? experts : dense) += size;
    if (is_expert) expert = std::max(expert, size);
  }
  train::MemoryPlanOptions options;
  options.compute = runtime::DType::bf16;
  options.extent.kept = 256;  // 512 rows of experts
  CHECK(part(train::plan_memory(config, options), "packed weights") == 2 * 2 * (dense + experts));
  options.extent.kept = 257;
  CHECK(part(train::plan_memory(config, options), "packed weights") == 2 * 2 * (dense + expert));
  options.extent.kept = 513;
  CHECK(part(train::plan_memory(config, options), "packed weights") ==
        2 * 2 * static_cast<uint64_t>(config.dim * std::max(config.vocab_size, config.hidden_dim)));
}

TEST_CASE("a limit is the one given, or what a device of its own memory has free", "[train]") {
  const auto device = runtime::open_device("cpu", 1);
  CHECK(train::memory_limit(*device, 7) == 7);
  CHECK(train::memory_limit(*device, 0) == 0);  // the machine's is asked
}

TEST_CASE("a run that does not fit is refused with both numbers", "[train]") {
  const auto plan = train::plan_memory(gpt2_small(), {});
  CHECK_NOTHROW(train::report_memory(plan, 0));
  CHECK_NOTHROW(train::report_memory(plan, plan.total()));
  CHECK_THROWS_WITH(train::report_memory(plan, uint64_t{1'000'000'000}),
                    test::contains("1.0 GB are available") && test::contains("--micro-batch-tokens"));
  CHECK_NOTHROW(train::report_memory(plan, 3 * plan.total(), 3));
  CHECK_THROWS_WITH(train::report_memory(plan, 3 * plan.total() - 1, 3),
                    test::contains("the 3 ranks of this machine"));
}

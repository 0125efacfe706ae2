#include "train/memory_plan.hpp"

#include <string>

#include "base/error.hpp"
#include "support/catch.hpp"
#include "train/train_fixtures.hpp"

using namespace gristmill;

namespace {

uint64_t part(const train::MemoryPlan& plan, const std::string& name) {
  for (const auto& [key, bytes] : plan.parts) {
    if (key == name) return bytes;
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
  options.micro_batch_tokens = 64;
  const auto adamw = train::plan_memory(config, options);
  CHECK(part(adamw, "parameters") == bytes(table));
  CHECK(part(adamw, "gradients") == bytes(table));
  CHECK(part(adamw, "optimizer state") == 2 * bytes(table));
  options.optimizer = train::OptimizerKind::muon;
  const auto muon = train::plan_memory(config, options);
  CHECK(part(muon, "optimizer state") ==
        bytes(table) + bytes(train::second_moments(table, options.optimizer)));
  options.ranks = 4;
  CHECK(part(train::plan_memory(config, options), "optimizer state") == part(muon, "optimizer state") / 4);
  uint64_t sum = 0;
  for (const auto& [name, size] : muon.parts) sum += size;
  CHECK(muon.total() == sum);
}

TEST_CASE("the plan grows with the micro-batch and shrinks in bf16", "[train]") {
  train::MemoryPlanOptions options;
  options.micro_batch_tokens = 1024;
  const auto fp32 = train::plan_memory(gpt2_small(), options);
  CHECK(part(fp32, "parameters") == Approx(4 * 124.1e6).epsilon(0.01));
  const std::string activations = "activations of one micro-batch";
  // A layer keeps about 2·768 + 3·768 + 768 + 3072 = 7,680 numbers a token.
  CHECK(part(fp32, activations) > uint64_t{4} * 1024 * 12 * 7680);
  CHECK(part(fp32, activations) < uint64_t{7} * 1024 * 12 * 7680);
  options.compute = runtime::DType::bf16;
  CHECK(10 * part(train::plan_memory(gpt2_small(), options), activations) < 8 * part(fp32, activations));
  options.compute = runtime::DType::f32;
  options.micro_batch_tokens = 2048;
  const uint64_t head = uint64_t{4} * 50257 * 768;  // the tied head's gradient does not grow with the batch
  const auto twice = train::plan_memory(gpt2_small(), options);
  CHECK(static_cast<double>(part(twice, activations) - head) ==
        Approx(2 * static_cast<double>(part(fp32, activations) - head)).epsilon(1e-6));
  options.validates = true;
  const uint64_t validating = part(train::plan_memory(gpt2_small(), options), activations);
  CHECK(validating > part(twice, activations));
  options.recompute = model::Recompute::block;
  CHECK(3 * part(train::plan_memory(gpt2_small(), options), activations) < 2 * validating);
}

TEST_CASE("a run that does not fit is refused with both numbers", "[train]") {
  const auto plan = train::plan_memory(gpt2_small(), {});
  CHECK_NOTHROW(train::report_memory(plan, std::nullopt));
  CHECK_NOTHROW(train::report_memory(plan, plan.total()));
  CHECK_THROWS_WITH(train::report_memory(plan, uint64_t{1'000'000'000}),
                    test::contains("1.0 GB are available") && test::contains("--micro-batch-tokens"));
}

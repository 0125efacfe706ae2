// The objectives on a tiny model: slopes of the loss against finite differences in double, invariance to
// packing, PPO's promises.

#include <cmath>
#include <functional>
#include <memory>
#include <set>

#include "align/dpo.hpp"
#include "align/ppo.hpp"
#include "align/reward.hpp"
#include "align/sft.hpp"
#include "align/tiny_config.hpp"
#include "base/error.hpp"
#include "base/rng.hpp"
#include "support/catch.hpp"

using namespace gristmill;
using namespace gristmill::align;

namespace {

constexpr uint32_t kEnd = 11;

std::unique_ptr<model::Transformer> make_model(runtime::Device& device, model::Head head, uint64_t seed) {
  auto out = std::make_unique<model::Transformer>(device, test::tiny_config(head, 2));
  model::initialize(out->parameters(), seed);
  // Larger than the usual start, so that nothing is near zero.
  for (size_t i = 0; i < out->parameters().size(); ++i) {
    const auto view = out->parameters().view(i);
    if (view.rows > 1) device.backend().axpy(view, 6, view);
  }
  return out;
}

Sequence random_sequence(Rng& rng, size_t prompt, size_t response) {
  Sequence sequence;
  for (size_t i = 0; i < prompt + response; ++i) {
    sequence.ids.push_back(static_cast<uint32_t>(rng.below(11)));
    sequence.mask.push_back(i >= prompt ? 1 : 0);
  }
  sequence.ids.back() = kEnd;
  return sequence;
}

std::vector<PairExample> random_pairs(size_t count, uint64_t seed) {
  Rng rng(seed, stream_of(RandomStream::test));
  std::vector<PairExample> pairs;
  for (size_t i = 0; i < count; ++i) {
    PairExample pair{random_sequence(rng, 3, 2 + i % 4), random_sequence(rng, 3, 5 - i % 3), 0};
    pair.rejected.ids[0] = pair.chosen.ids[0];
    pairs.push_back(pair);
  }
  return pairs;
}

/// Compares the gradient of `figure` of step `step` with central differences at a few elements of every
/// tensor.
void check_slopes(train::Objective& objective, model::Transformer& model, int64_t step,
                  const std::function<double(const train::StepMetrics&)>& figure) {
  auto& device = model.device();
  const auto loss = [&] {
    for (const auto& trainee : objective.trainees()) trainee.model->zero_gradients();
    train::StepMetrics metrics;
    objective.accumulate(step, metrics);
    return figure(metrics);
  };
  loss();
  std::vector<std::vector<double>> gradients;
  for (size_t i = 0; i < model.parameters().size(); ++i) {
    gradients.push_back(runtime::read_real(device, model.gradients().view(i)));
  }
  for (size_t i = 0; i < model.parameters().size(); ++i) {
    const auto view = model.parameters().view(i);
    auto values = runtime::read_real(device, view);
    for (const size_t element : {size_t{0}, values.size() / 2, values.size() - 1}) {
      const double kept = values[element], h = 1e-5;
      const auto at = [&](double value) {
        values[element] = value;
        runtime::write_real(device, view, values);
        return loss();
      };
      const double slope = (at(kept + h) - at(kept - h)) / (2 * h);
      at(kept);
      INFO(model.parameters().table()[i].name << "[" << element << "]");
      CHECK(gradients[i][element] == Approx(slope).epsilon(1e-4).margin(1e-8));
    }
  }
}

struct PpoSetup {
  explicit PpoSetup(runtime::Device& device, PpoOptions options = {}) {
    options.iterations = 3;
    options.rollout_batch = 6;
    options.max_response_tokens = 6;
    options.micro_batch_tokens = 20;
    policy = make_model(device, model::Head::language, 1);
    reference = make_model(device, model::Head::language, 1);
    reward = make_model(device, model::Head::scalar, 2);
    critic = make_model(device, model::Head::scalar, 3);
    std::vector<PromptExample> prompts;
    Rng rng(5, stream_of(RandomStream::test));
    for (int i = 0; i < 12; ++i) prompts.push_back({random_sequence(rng, 4, 1).ids, {}});
    objective = std::make_unique<PpoObjective>(*policy, *critic, *reference, *reward, prompts, kEnd, options);
  }
  std::unique_ptr<model::Transformer> policy, reference, reward, critic;
  std::unique_ptr<PpoObjective> objective;
};

}  // namespace

TEST_CASE("SFT's gradient is the slope of its loss", "[align]") {
  const auto device = runtime::open_reference_device(runtime::DType::f64);
  const auto model = make_model(*device, model::Head::language, 1);
  Rng rng(3, stream_of(RandomStream::test));
  std::vector<Sequence> examples;
  for (size_t i = 0; i < 5; ++i) examples.push_back(random_sequence(rng, 3, 2 + i));
  SftObjective objective(*model, examples, {}, {1, 5, 16, 1});
  check_slopes(objective, *model, 0, [](const train::StepMetrics& m) { return m.loss; });
}

TEST_CASE("SFT's loss and gradient do not depend on the split into micro-batches", "[align]") {
  const auto device = runtime::open_reference_device(runtime::DType::f64);
  const auto model = make_model(*device, model::Head::language, 1);
  Rng rng(3, stream_of(RandomStream::test));
  std::vector<Sequence> examples;
  for (size_t i = 0; i < 6; ++i) examples.push_back(random_sequence(rng, 2 + i, 1 + i));
  std::vector<double> losses, norms;
  for (const int64_t tokens : {1, 14, 1000}) {
    model->zero_gradients();
    SftObjective objective(*model, examples, {}, {1, 6, tokens, 1});
    train::StepMetrics metrics;
    objective.accumulate(0, metrics);
    losses.push_back(metrics.loss);
    double norm = 0;
    for (const double g : runtime::read_real(*device, model->gradients().all())) norm += g * g;
    norms.push_back(norm);
  }
  CHECK(losses[1] == Approx(losses[0]).epsilon(1e-10));
  CHECK(losses[2] == Approx(losses[0]).epsilon(1e-10));
  CHECK(norms[1] == Approx(norms[0]).epsilon(1e-9));
  CHECK(norms[2] == Approx(norms[0]).epsilon(1e-9));
}

TEST_CASE("the reward model's gradient is the slope of its loss", "[align]") {
  const auto device = runtime::open_reference_device(runtime::DType::f64);
  const auto model = make_model(*device, model::Head::scalar, 4);
  RewardObjective objective(*model, random_pairs(4, 8), {}, {1, 4, 24, 0.01, 1});
  check_slopes(objective, *model, 0, [](const train::StepMetrics& m) { return m.loss; });
}

TEST_CASE("DPO starts at ln 2 and has the slope of its loss", "[align]") {
  const auto device = runtime::open_reference_device(runtime::DType::f64);
  const auto model = make_model(*device, model::Head::language, 1);
  const auto pairs = random_pairs(4, 9);
  DpoOptions options;
  options.batch_size = 4;
  options.micro_batch_tokens = 24;
  const auto references = reference_log_probs(*model, pairs, 30);
  DpoObjective fresh(*model, pairs, references, {}, {}, options);
  train::StepMetrics metrics;
  fresh.accumulate(0, metrics);
  CHECK(metrics.loss == Approx(std::log(2)).epsilon(1e-12));
  CHECK(metrics.values.at("rewards/margins") == Approx(0).margin(1e-12));

  const auto other = make_model(*device, model::Head::language, 7);
  DpoObjective moved(*model, pairs, reference_log_probs(*other, pairs, 30), {}, {}, options);
  check_slopes(moved, *model, 0, [](const train::StepMetrics& m) { return m.loss; });
}

TEST_CASE("DPO's gradient vanishes when chosen and rejected are the same", "[align]") {
  const auto device = runtime::open_reference_device(runtime::DType::f64);
  const auto model = make_model(*device, model::Head::language, 1);
  auto pairs = random_pairs(3, 9);
  for (auto& pair : pairs) pair.rejected = pair.chosen;
  DpoObjective objective(*model, pairs, reference_log_probs(*model, pairs, 30), {}, {}, {});
  train::StepMetrics metrics;
  objective.accumulate(0, metrics);
  for (const double g : runtime::read_real(*device, model->gradients().all())) CHECK(std::abs(g) < 1e-12);
}

TEST_CASE("PPO's first pass has a ratio of exactly 1, and its gradients are the slopes of its losses",
          "[align]") {
  const auto device = runtime::open_reference_device(runtime::DType::f64);
  PpoSetup setup(*device);
  train::StepMetrics metrics;
  setup.objective->accumulate(0, metrics);
  CHECK(metrics.values.at("val/max_ratio_deviation") == 0);
  CHECK(metrics.values.at("policy/approxkl") == 0);
  CHECK(metrics.values.at("objective/kl") == Approx(0).margin(1e-9));  // the policy still is the reference
  // Step 1 learns from the same rollouts.
  check_slopes(*setup.objective, *setup.policy, 1,
               [](const train::StepMetrics& m) { return m.values.at("loss/policy"); });
  check_slopes(*setup.objective, *setup.critic, 1,
               [](const train::StepMetrics& m) { return m.values.at("loss/value"); });
}

TEST_CASE("PPO's first-pass ratio is exactly 1 in single precision on the CPU device, behind a guard",
          "[align]") {
  const auto device = runtime::guard_device(runtime::open_device("cpu", 2));
  PpoSetup setup(*device);
  for (const int64_t step : {int64_t{0}, int64_t{4}}) {
    train::StepMetrics metrics;
    setup.objective->accumulate(step, metrics);
    CHECK(metrics.values.at("val/max_ratio_deviation") == 0);
  }
}

TEST_CASE("PPO checkpoints between iterations only, and its samples do not depend on earlier iterations",
          "[align]") {
  const auto device = runtime::open_reference_device(runtime::DType::f64);
  PpoSetup first(*device), second(*device);
  CHECK(first.objective->can_checkpoint(4));
  CHECK_FALSE(first.objective->can_checkpoint(5));
  train::StepMetrics skipped, direct;
  first.objective->accumulate(0, skipped);
  first.policy->zero_gradients();
  train::StepMetrics later;
  first.objective->accumulate(4, later);
  second.objective->load_state(first.objective->save_state());
  second.objective->accumulate(4, direct);
  CHECK(later.loss == direct.loss);
  CHECK(later.values == direct.values);
}

TEST_CASE("a whole batch goes on in the next epoch where this one ends", "[align]") {
  EpochSampler sampler(5, 4, 3, 1), larger(3, 7, 1, 1);
  std::vector<size_t> seen;
  for (const int64_t step : {0, 1, 2, 3, 4}) {
    const auto batch = sampler.whole_batch(step);
    CHECK(batch.size() == 4);
    seen.insert(seen.end(), batch.begin(), batch.end());
  }
  for (size_t epoch = 0; epoch < 4; ++epoch) {
    const auto first = seen.begin() + static_cast<std::ptrdiff_t>(5 * epoch);
    CHECK(std::set<size_t>(first, first + 5).size() == 5);
  }
  CHECK(larger.whole_batch(0).size() == 7);
  CHECK(sampler.whole_batch(1) == std::vector<size_t>(seen.begin() + 4, seen.begin() + 8));
}

TEST_CASE("PPO refuses a sampler that draws from another distribution", "[align]") {
  const auto device = runtime::open_reference_device(runtime::DType::f64);
  PpoOptions options;
  options.sampler_tolerance = -1;  // any difference is too much
  PpoSetup setup(*device, options);
  train::StepMetrics metrics;
  CHECK_THROWS_AS(setup.objective->accumulate(0, metrics), Error);
}

TEST_CASE("PPO's options out of range are usage errors", "[align]") {
  PpoOptions options;
  options.temperature = 0;
  CHECK_THROWS_AS(validate(options), Error);
  options = {};
  options.rollout_batch = 0;
  CHECK_THROWS_AS(validate(options), Error);
}

#include "train/pretrain.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "base/error.hpp"
#include "model/safetensors.hpp"
#include "support/catch.hpp"
#include "support/data.hpp"
#include "support/scratch.hpp"
#include "train/optimizer.hpp"
#include "train/pretrain_run.hpp"
#include "train/schedule.hpp"
#include "train/train_fixtures.hpp"

using namespace gristmill;

namespace {

shard::TokenSet three_documents() {
  shard::TokenSet set;
  set.info.vocab_size = 29;
  set.ids = {0, 1, 2, 3, 0, 4, 5, 0, 6, 7, 8};
  set.document_starts = {0, 4, 7};
  return set;
}

/// Gradients and loss of one step in micro-batches of `micro` tokens.
std::pair<double, std::vector<float>> one_step(int64_t batch_tokens, int64_t micro) {
  const auto device = runtime::open_device("cpu", 1);
  model::Transformer model(*device, test::tiny_config());
  model::initialize(model.parameters(), 1);
  auto options = test::tiny_pretrain();
  options.batch_tokens = batch_tokens;
  options.micro_batch_tokens = micro;
  train::PretrainObjective objective(model, test::counting_tokens(100, 1), std::nullopt, options);
  train::StepMetrics metrics;
  model.zero_gradients();
  objective.accumulate(3, metrics);
  CHECK(metrics.tokens == batch_tokens);
  return {metrics.loss, runtime::read_float(*device, model.gradients().all())};
}

}  // namespace

TEST_CASE("windows keep documents apart and make each token but the first a target once", "[train]") {
  const auto tokens = three_documents();
  const train::WindowSet windows(tokens, 4, true);
  REQUIRE(windows.size() == 3);
  std::vector<int32_t> targets;
  model::Batch first, second, third;
  windows.append(0, first, targets);
  CHECK(first.ids == std::vector<int32_t>{0, 1, 2, 3});
  CHECK(first.document_starts == std::vector<int32_t>{0, 4});
  windows.append(1, second, targets);
  CHECK(second.ids == std::vector<int32_t>{0, 4, 5, 0});
  CHECK(second.document_starts == std::vector<int32_t>{0, 3, 4});
  windows.append(2, third, targets);
  CHECK(third.ids == std::vector<int32_t>{6, 7});
  CHECK(third.document_starts == std::vector<int32_t>{0, 2});
  CHECK(targets == std::vector<int32_t>{1, 2, 3, 0, 4, 5, 0, 6, 7, 8});
  windows.append(0, third, targets);
  CHECK(third.document_starts == std::vector<int32_t>{0, 2, 6});
  CHECK(train::WindowSet(tokens, 4, false).size() == 2);
  CHECK(train::WindowSet(tokens, 100, false).size() == 1);
  CHECK(train::WindowSet(tokens, 100, false).window_tokens(0) == 10);
  shard::TokenSet single;
  single.ids = {0};
  CHECK_THROWS_WITH(train::WindowSet(single, 4, true), test::contains("nothing to predict"));
}

TEST_CASE("an epoch's order holds each window once and depends on seed and epoch", "[train]") {
  const auto order = train::window_order(1000, 1, 0);
  CHECK(std::set<int64_t>(order.begin(), order.end()).size() == 1000);
  CHECK(*std::max_element(order.begin(), order.end()) == 999);
  CHECK(order == train::window_order(1000, 1, 0));
  CHECK(order != train::window_order(1000, 1, 1));
  CHECK(order != train::window_order(1000, 2, 0));
}

TEST_CASE("the token budget becomes whole steps", "[train]") {
  const auto device = runtime::open_reference_device(runtime::DType::f32);
  model::Transformer model(*device, test::tiny_config());
  const auto steps = [&](int64_t tokens, int64_t batch) {
    train::PretrainOptions options;
    options.tokens = tokens;
    options.batch_tokens = batch;
    return train::PretrainObjective(model, test::counting_tokens(60, 1), std::nullopt, options).total_steps();
  };
  CHECK(steps(640, 64) == 10);
  CHECK(steps(641, 64) == 11);
  CHECK(steps(1, 64) == 1);
  CHECK(steps(640, 70) == 10);  // four windows of 16 a step
  CHECK(steps(640, 1) == 40);   // one window at least
  CHECK(steps(0, 64) == static_cast<int64_t>(test::counting_tokens(60, 1).ids.size() - 1) / 16 / 4);
}

TEST_CASE("a step's gradient does not depend on its micro-batches beyond rounding", "[train]") {
  const auto [loss, whole] = one_step(256, 256);
  for (const int64_t micro : {128, 64, 16}) {
    const auto [split_loss, split] = one_step(256, micro);
    CHECK(split_loss == Approx(loss).epsilon(1e-7));
    double worst = 0, largest = 0;
    for (size_t i = 0; i < whole.size(); ++i) {
      worst = std::max(worst, static_cast<double>(std::abs(whole[i] - split[i])));
      largest = std::max(largest, static_cast<double>(std::abs(whole[i])));
    }
    CHECK(worst < 1e-6 * largest);
  }
}

TEST_CASE("one window 32 times is 32 windows once", "[train]") {
  const auto [loss, whole] = one_step(32 * 16, 32 * 16);
  const auto [split_loss, split] = one_step(32 * 16, 16);
  CHECK(split_loss == Approx(loss).epsilon(1e-6));
  double difference = 0, length = 0;
  for (size_t i = 0; i < whole.size(); ++i) {
    difference += std::pow(static_cast<double>(whole[i]) - static_cast<double>(split[i]), 2);
    length += std::pow(static_cast<double>(whole[i]), 2);
  }
  CHECK(std::sqrt(difference / length) < 1e-6);
}

TEST_CASE("the z-loss's gradient is that of its value, by differences in double precision", "[train]") {
  const auto device = runtime::open_reference_device(runtime::DType::f64);
  model::Transformer model(*device, test::tiny_config());
  model::initialize(model.parameters(), 1);
  auto options = test::tiny_pretrain();
  options.z_loss = 0.3;
  train::PretrainObjective objective(model, test::counting_tokens(60, 1), std::nullopt, options);
  const auto value = [&] {
    train::StepMetrics metrics;
    model.zero_gradients();
    objective.accumulate(0, metrics);
    // All logits start near 0, so lse is near log 29.
    CHECK(metrics.values.at("z_loss") == Approx(0.3 * std::pow(std::log(29), 2)).epsilon(0.05));
    return metrics.loss + metrics.values.at("z_loss");
  };
  const auto embedding = model.parameters().view("model.embed_tokens.weight");
  auto weights = runtime::read_real(*device, embedding);
  value();
  const auto gradient = runtime::read_real(*device, model.gradients().view("model.embed_tokens.weight"));
  for (const size_t element : {size_t{3}, size_t{50}, size_t{400}}) {
    const double step = 1e-5, held = weights[element];
    const auto at = [&](double moved) {
      weights[element] = moved;
      runtime::write_real(*device, embedding, std::span<const double>(weights));
      return value();
    };
    const double difference = (at(held + step) - at(held - step)) / (2 * step);
    at(held);
    CHECK(gradient[element] == Approx(difference).epsilon(1e-6));
  }
}

TEST_CASE("a run of annealing data alone is a run on these data", "[train]") {
  const auto device = runtime::open_device("cpu", 1);
  const auto gradients = [&](std::optional<shard::TokenSet> anneal, uint64_t main_seed) {
    model::Transformer model(*device, test::tiny_config());
    model::initialize(model.parameters(), 1);
    auto options = test::tiny_pretrain();
    options.anneal_share = options.anneal_weight = 1;
    train::PretrainObjective objective(model, test::counting_tokens(60, main_seed), std::nullopt, options,
                                       std::move(anneal));
    train::StepMetrics metrics;
    model.zero_gradients();
    objective.accumulate(2, metrics);
    return std::make_pair(runtime::read_float(*device, model.gradients().all()), objective.save_state());
  };
  const auto annealed = gradients(test::counting_tokens(60, 7), 1), plain = gradients(std::nullopt, 7),
             other = gradients(std::nullopt, 1);
  CHECK(annealed.first == plain.first);
  CHECK(annealed.first != other.first);
  CHECK(annealed.second.find("anneal_data") != nullptr);
  CHECK(annealed.second.at("data") == other.second.at("data"));
  CHECK_THROWS_WITH(gradients(test::counting_tokens(9, 1, 30), 1), test::contains("vocabulary of 30"));
}

TEST_CASE("a step says how many FLOPs the model needs for its tokens", "[train]") {
  const auto device = runtime::open_device("cpu", 1);
  model::Transformer model(*device, test::tiny_config());
  train::PretrainObjective objective(model, test::counting_tokens(60, 1), std::nullopt,
                                     test::tiny_pretrain());
  train::StepMetrics metrics;
  objective.accumulate(0, metrics);
  // Embedding 29·16; a layer 16·(16 + 8 + 8) + 16·16 + 3·16·32 + 2·16 = 2,336; final norm 16: 5,152.
  CHECK(metrics.flops == 64 * (6.0 * 5152 + 12.0 * 2 * 16 * 16));
}

TEST_CASE("the held-out loss is the mean over every token", "[train]") {
  const auto device = runtime::open_device("cpu", 1);
  model::Transformer model(*device, test::tiny_config());  // all weights zero: uniform
  const auto make = [&](int64_t micro) {
    auto options = test::tiny_pretrain();
    options.micro_batch_tokens = micro;
    return std::make_unique<train::PretrainObjective>(model, three_documents(), three_documents(), options);
  };
  CHECK(make(16)->validate().at("val_loss") == Approx(std::log(29)));
  CHECK(make(16)->validate().at("val_perplexity") == Approx(29));
  model::initialize(model.parameters(), 1);
  CHECK(make(16)->validate().at("val_loss") == Approx(make(1000)->validate().at("val_loss")).epsilon(1e-7));
}

TEST_CASE("token shards that do not fit the model are refused", "[train]") {
  const auto device = runtime::open_reference_device(runtime::DType::f32);
  model::Transformer model(*device, test::tiny_config());
  CHECK_THROWS_WITH(
      train::PretrainObjective(model, test::counting_tokens(9, 1, 30), std::nullopt, test::tiny_pretrain()),
      test::contains("vocabulary of 30, the model one of 29"));
  auto options = test::tiny_pretrain();
  options.batch_tokens = 0;
  CHECK_THROWS_WITH(train::PretrainObjective(model, test::counting_tokens(9, 1), std::nullopt, options),
                    test::contains("--batch-tokens"));
}

TEST_CASE("schedules warm up, and end where they say", "[train]") {
  train::ScheduleOptions options;
  options.warmup_share = 0.1;
  for (const auto kind :
       {train::Schedule::constant, train::Schedule::cosine, train::Schedule::linear, train::Schedule::wsd}) {
    options.kind = kind;
    CHECK(train::schedule_factor(options, 0, 100) == Approx(1.0 / 11));
    CHECK(train::schedule_factor(options, 9, 100) == Approx(10.0 / 11));
    CHECK(train::schedule_factor(options, 10, 100) == Approx(1));
    CHECK(train::schedule_factor(options, 0, 1) > 0);
  }
  options.kind = train::Schedule::cosine;
  CHECK(train::schedule_factor(options, 99, 100) == Approx(0.1));
  CHECK(train::schedule_factor(options, 54, 100) == Approx(0.1 + 0.9 * (1 + std::cos(M_PI * 44 / 89)) / 2));
  options.kind = train::Schedule::linear;
  CHECK(train::schedule_factor(options, 99, 100) == Approx(0.1));
  options.kind = train::Schedule::wsd;
  CHECK(train::schedule_factor(options, 79, 100) == 1);
  CHECK(train::schedule_factor(options, 80, 100) == Approx(1 - std::sqrt(1.0 / 21)));
  CHECK(train::schedule_factor(options, 99, 100) == Approx(1 - std::sqrt(20.0 / 21)));
  options.kind = train::Schedule::constant;
  CHECK(train::schedule_factor(options, 99, 100) == 1);
}

TEST_CASE("weight decay touches matrices and leaves norms alone", "[train]") {
  const auto device = runtime::open_device("cpu", 1);
  model::Transformer model(*device, test::tiny_config());
  model::initialize(model.parameters(), 1);
  const auto before =
      runtime::read_real(*device, model.parameters().view("model.layers.0.mlp.down_proj.weight"));
  model.zero_gradients();
  train::Optimizer optimizer(*device, model.parameters().table(), {});
  CHECK(optimizer.gradient_norm(model.gradients()) == 0);
  optimizer.update(model.parameters(), model.gradients(), 0, 0.5, 1);
  const auto after =
      runtime::read_real(*device, model.parameters().view("model.layers.0.mlp.down_proj.weight"));
  for (size_t i = 0; i < before.size(); ++i) CHECK(after[i] == Approx(before[i] * (1 - 0.5 * 0.1)));
  for (const double value : runtime::read_real(*device, model.parameters().view("model.norm.weight")))
    CHECK(value == 1);
}

TEST_CASE("the shape options make a Llama for the shards' vocabulary", "[train]") {
  train::PretrainRunOptions options;
  shard::TokenShardInfo tokens;
  tokens.vocab_size = 1000;
  tokens.end_of_text = 7;
  const auto config = train::pretrain_config(options, tokens);
  CHECK(config.vocab_size == 1000);
  CHECK(config.hidden_dim == 704);
  CHECK(config.kv_heads == 8);
  CHECK(config.eos_token == 7);
  options.shape.heads = 7;
  CHECK_THROWS_WITH(train::pretrain_config(options, tokens), test::contains("multiple of --heads"));
  options.init = "somewhere";
  options.shape_given = true;
  CHECK_THROWS_WITH(train::pretrain(options), test::contains("shape is given twice"));
  options.shape_given = false;
  options.anneal_given = true;
  CHECK_THROWS_WITH(train::pretrain(options), test::contains("without --anneal-data"));
  for (const char* wrong : {"0.5", "a:0.1", "0.5:", ":0.5", "0.1:0.2:0.3"}) {
    train::PretrainRunOptions ramp;
    ramp.batch_ramp = wrong;
    CHECK_THROWS_WITH(train::pretrain(ramp), test::contains("--batch-ramp"));
  }
}

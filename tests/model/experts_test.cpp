// Mixtures of experts: gradients against differences, the router's losses, memory, and the same bits in every
// way of computing.

#include "model/experts.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/rng.hpp"
#include "model/model_fixtures.hpp"
#include "model/router.hpp"
#include "model/transformer.hpp"
#include "runtime/device.hpp"
#include "support/catch.hpp"

using namespace gristmill;
using model::Recompute;
using runtime::DType;

namespace {

constexpr Recompute kLevels[] = {Recompute::none, Recompute::norms, Recompute::block};

model::Batch two_documents(const model::Config& config) {
  model::Batch batch;
  batch.add(test::random_ids(9, config.vocab_size, 1));
  batch.add(test::random_ids(5, config.vocab_size, 2));
  return batch;
}

std::vector<int32_t> targets_of(const model::Batch& batch) {
  auto targets = batch.ids;
  std::rotate(targets.begin(), targets.begin() + 1, targets.end());
  return targets;
}

std::vector<std::unique_ptr<runtime::Device>> all_devices() {
  std::vector<std::unique_ptr<runtime::Device>> devices;
  devices.push_back(runtime::open_reference_device(DType::f64));
  devices.push_back(runtime::open_device("cpu", 2));
  devices.push_back(runtime::open_device("cpu", 2, DType::bf16));
  devices.push_back(runtime::guard_device(runtime::open_reference_device(DType::f32)));
  return devices;
}

std::vector<model::Config> all_kinds() {
  model::Config gaps = test::small_experts(true);
  gaps.dim = 20;
  gaps.hidden_dim = 13;  // no multiple of 16 elements: w1 and w3 are products of their own
  model::Config one = test::small_experts();
  one.experts_per_token = 1;
  model::Config every = test::small_experts(true);
  every.experts = every.experts_per_token = 3;
  every.layers = 3;
  return {test::small_experts(), gaps, one, every};
}

/// Cross-entropy, and the router's losses with their weights.
double whole_loss(model::Transformer& model, const model::Batch& batch, const model::RouterLosses& losses) {
  const double loss = test::cross_entropy(model, batch, targets_of(batch), true, losses);
  const auto figures = model.router_figures();
  return loss + losses.balance * figures.balance + losses.z * figures.z;
}

std::vector<float> gradients_of(model::Transformer& model, const model::Batch& batch,
                                const model::RouterLosses& losses = {}) {
  model.zero_gradients();
  test::cross_entropy(model, batch, targets_of(batch), true, losses);
  return runtime::read_float(model.device(), model.gradients().all());
}

void check_slopes(const model::Config& config, const model::RouterLosses& losses) {
  const auto device = runtime::open_reference_device(DType::f64);
  model::Transformer model(*device, config);
  test::randomize(model, 11);
  const auto batch = two_documents(config);
  whole_loss(model, batch, losses);
  const auto& parameters = model.parameters();
  const auto gradients = runtime::read_real(*device, model.gradients().all());
  for (size_t i = 0; i < parameters.size(); ++i) {
    const auto& info = parameters.table()[i];
    auto values = runtime::read_real(*device, parameters.view(i));
    Rng rng(7, stream_of(RandomStream::test, i));
    for (int sample = 0; sample < 3; ++sample) {
      const auto at = static_cast<size_t>(rng.below(values.size()));
      const double old = values[at], h = 1e-5;
      const auto loss_at = [&](double value) {
        values[at] = value;
        runtime::write_real(*device, parameters.view(i), std::span<const double>(values));
        return whole_loss(model, batch, losses);
      };
      const double slope = (loss_at(old + h) - loss_at(old - h)) / (2 * h);
      loss_at(old);
      INFO(info.name << " element " << at);
      CHECK(gradients[static_cast<size_t>(info.offset) + at] == Approx(slope).epsilon(1e-6).margin(1e-9));
    }
  }
}

std::vector<double> hidden_of(model::Transformer& model, const model::Batch& batch) {
  return runtime::read_real(model.device(), model.forward(batch, false));
}

}  // namespace

TEST_CASE("gradients of a mixture of experts are the loss's slopes", "[model]") {
  for (const auto& config : all_kinds()) check_slopes(config, {});
}

TEST_CASE("gradients of the router's losses are their slopes", "[model]") {
  for (const auto& config : all_kinds()) {
    check_slopes(config, {0.7, 0});
    check_slopes(config, {0.3, 0.2});
  }
}

TEST_CASE("a router that knows nothing gives the balance K and the z-loss log²E", "[model]") {
  for (const auto& device : all_devices()) {
    const auto config = test::small_experts();
    model::Transformer model(*device, config);
    test::randomize(model, 5);
    for (const char* layer : {"0", "1"}) {
      device->backend().fill(
          model.parameters().view(std::string("model.layers.") + layer + ".block_sparse_moe.gate.weight"), 0);
    }
    const auto batch = two_documents(config);
    model.forward(batch);
    const auto figures = model.router_figures();
    CHECK(figures.balance == Approx(2));
    CHECK(figures.z == Approx(std::log(4.0) * std::log(4.0)));
    CHECK((figures.load == std::vector<double>{14, 14, 0, 0, 14, 14, 0, 0}));
  }
}

TEST_CASE("every token goes to its experts, however many want the same", "[model]") {
  const auto device = runtime::open_device("cpu", 2);
  const auto config = test::small_experts();
  model::Transformer model(*device, config);
  test::randomize(model, 5);
  model.forward(two_documents(config));
  const auto load = model.router_figures().load;
  REQUIRE(load.size() == 8);
  CHECK(std::accumulate(load.begin(), load.begin() + 4, 0.0) == 28);
  CHECK(std::accumulate(load.begin() + 4, load.end(), 0.0) == 28);
}

TEST_CASE("an expert that no token goes to has a gradient of 0, and what the other one gets is finite",
          "[model]") {
  for (const auto& device : all_devices()) {
    model::Config config = test::small_experts();
    config.experts_per_token = 1;
    model::Transformer model(*device, config);
    test::randomize(model, 5);
    for (const char* layer : {"0", "1"}) {
      device->backend().fill(
          model.parameters().view(std::string("model.layers.") + layer + ".block_sparse_moe.gate.weight"), 0);
    }
    const auto batch = two_documents(config);  // all ties: all tokens to expert 0
    gradients_of(model, batch);
    double idle = 0, busy = 0;
    for (size_t i = 0; i < model.gradients().size(); ++i) {
      const auto& name = model.gradients().table()[i].name;
      if (name.find("experts.") == std::string::npos) continue;
      double& sum = name.find("experts.0.") == std::string::npos ? idle : busy;
      for (const double value : runtime::read_real(*device, model.gradients().view(i)))
        sum += std::abs(value);
    }
    CHECK(idle == 0);
    CHECK(busy > 0);
    CHECK(std::isfinite(busy));
  }
}

TEST_CASE("packed documents give with experts what each gives alone", "[model]") {
  const auto device = runtime::open_device("cpu", 2);
  for (const auto& config : all_kinds()) {
    model::Transformer model(*device, config);
    test::randomize(model, 5);
    const auto first = test::random_ids(13, config.vocab_size, 1),
               second = test::random_ids(21, config.vocab_size, 2);
    model::Batch packed, one, two;
    packed.add(first);
    packed.add(second);
    one.add(first);
    two.add(second);
    auto separate = hidden_of(model, one);
    const auto rest = hidden_of(model, two);
    separate.insert(separate.end(), rest.begin(), rest.end());
    CHECK(test::relative_difference(hidden_of(model, packed), separate) < 2e-6);
  }
}

TEST_CASE("with experts, cached rows give the training forward's hidden states", "[model]") {
  for (const auto& device : all_devices()) {
    if (device->compute() == DType::bf16) continue;  // keys and values of a cache are rounded there
    for (const auto& config : all_kinds()) {
      model::Transformer model(*device, config);
      test::randomize(model, 5);
      const auto ids = test::random_ids(11, config.vocab_size, 1);
      model::Batch batch;
      batch.add(ids);
      const auto expected = hidden_of(model, batch);
      model::KvCache cache(*device, config, 1, 16);
      std::vector<double> ours;
      for (size_t done = 0; done < ids.size();) {
        const size_t count = done == 0 ? 4 : 1;  // a prompt, then one at a time
        model::CachedRows rows;
        for (size_t i = done; i < done + count; ++i) {
          rows.ids.push_back(static_cast<int32_t>(ids[i]));
          rows.sequence.push_back(0);
          rows.position.push_back(static_cast<int32_t>(i));
        }
        const auto values = runtime::read_real(*device, model.forward_cached(cache, rows));
        ours.insert(ours.end(), values.begin(), values.end());
        done += count;
      }
      INFO(device->name());
      CHECK(test::relative_difference(ours, expected) < (device->real() == DType::f64 ? 1e-14 : 2e-6));
    }
  }
}

TEST_CASE("with experts gradients are the same bits at every level of recomputing", "[model]") {
  const model::RouterLosses losses{0.5, 0.1};
  for (const auto& device : all_devices()) {
    for (const auto& config : all_kinds()) {
      model::Transformer model(*device, config);
      test::randomize(model, 5);
      const auto batch = two_documents(config);
      std::vector<std::vector<float>> gradients;
      std::vector<std::vector<double>> loads;
      for (const auto level : kLevels) {
        model.set_recompute(level);
        for (int repeat = 0; repeat < 2; ++repeat) {
          gradients.push_back(gradients_of(model, batch, losses));
          loads.push_back(model.router_figures().load);
        }
      }
      INFO(device->name());
      for (const auto& values : gradients) CHECK(values == gradients.front());
      for (const auto& values : loads) CHECK(values == loads.front());
    }
  }
}

TEST_CASE("with experts the gradients do not depend on the number of threads", "[model]") {
  for (const auto compute : {DType::f32, DType::bf16}) {
    std::vector<std::vector<float>> gradients;
    for (const int threads : {1, 2, 3}) {
      model::Config config = test::small_experts();
      config.dim = 64;
      config.hidden_dim = 96;
      config.context = 256;
      const auto device = runtime::open_device("cpu", threads, compute);
      model::Transformer model(*device, config);
      test::randomize(model, 3, 0.1);
      model::Batch batch;
      batch.add(test::random_ids(250, config.vocab_size, 1));
      batch.add(test::random_ids(150, config.vocab_size, 2));
      gradients.push_back(gradients_of(model, batch, {0.5, 0.1}));
    }
    CHECK(gradients[0] == gradients[1]);
    CHECK(gradients[0] == gradients[2]);
  }
}

TEST_CASE("with experts micro-batches add to the gradients in order, each once", "[model]") {
  for (const auto& device : all_devices()) {
    if (device->real() == DType::f64) continue;  // float copies of doubles do not add exactly
    for (const auto& config : all_kinds()) {
      model::Transformer model(*device, config);
      test::randomize(model, 5);
      const model::RouterLosses losses{0.5, 0.1};
      const auto batch = two_documents(config);
      model::Batch other;
      other.add(test::random_ids(8, config.vocab_size, 4));
      const auto first = gradients_of(model, batch, losses), second = gradients_of(model, other, losses);
      model.zero_gradients();
      test::cross_entropy(model, batch, targets_of(batch), true, losses);
      test::cross_entropy(model, other, targets_of(other), true, losses);
      std::vector<float> sum(first.size());
      for (size_t i = 0; i < sum.size(); ++i) sum[i] = first[i] + second[i];
      INFO(device->name());
      CHECK(runtime::read_float(*device, model.gradients().all()) == sum);
    }
  }
}

TEST_CASE("with bf16 activations the experts' gradients stay near those of fp32", "[model]") {
  std::vector<std::vector<double>> gradients;
  const auto config = test::small_experts();
  for (const auto compute : {DType::bf16, DType::f32}) {
    const auto device = runtime::open_device("cpu", 2, compute);
    model::Transformer model(*device, config);
    test::randomize(model, 6);
    const auto values = gradients_of(model, two_documents(config));
    gradients.emplace_back(values.begin(), values.end());
  }
  CHECK(test::relative_difference(gradients[0], gradients[1]) < 0.05);
}

TEST_CASE("the router's figures need experts and a forward pass that is kept", "[model]") {
  const auto device = runtime::open_reference_device(DType::f32);
  model::Transformer dense(*device, test::small_llama(true)), sparse(*device, test::small_experts());
  CHECK_THROWS_AS(dense.router_figures(), Error);
  CHECK_THROWS_AS(sparse.router_figures(), Error);
}

TEST_CASE("parameters count all experts, FLOPs those that work on a token", "[model]") {
  const auto sparse = test::small_experts();
  model::Config dense = sparse;
  dense.experts = 0;
  const int64_t expert = 3 * sparse.dim * sparse.hidden_dim, router = 4 * sparse.dim;
  CHECK(sparse.parameter_count() == dense.parameter_count() + 2 * (3 * expert + router));
  CHECK(sparse.active_parameter_count() == dense.parameter_count() + 2 * (expert + router));
  CHECK(dense.active_parameter_count() == dense.parameter_count());
  CHECK(sparse.flops_per_token() - dense.flops_per_token() ==
        Approx(6 * static_cast<double>(2 * (expert + router))));
}

TEST_CASE("of thousands of experts each tensor is found by its name at once", "[model]") {
  model::Config config = test::small_experts();
  config.dim = config.heads = config.kv_heads = config.hidden_dim = 2;
  config.head_dim = 2;
  config.layers = 64;
  config.experts = 1024;
  const auto device = runtime::open_device("cpu", 1);
  const model::Transformer model(*device, config);  // looks each of its 200,000 tensors up
  const auto& parameters = model.parameters();
  CHECK(parameters.size() == 64 * (7 + 3 * 1024) + 3);
  for (const size_t i : {size_t{0}, size_t{1}, size_t{5000}, parameters.size() - 1})
    CHECK(parameters.find(parameters.table()[i].name) == i);
  CHECK_FALSE(parameters.find("model.layers.64.input_layernorm.weight"));
}

TEST_CASE("width scaling treats experts as hidden matrices and their router as a head", "[model]") {
  model::Config config = test::small_experts();
  config.mup_base_dim = 6;  // a quarter of the width
  config.zero_init = true;
  for (const auto& info : model::parameter_table(config)) {
    if (info.name.ends_with("gate.weight")) {
      CHECK(info.initial_std == Approx(0.02 / 4));
      CHECK(info.learning_rate_scale == 0.25);
    } else if (info.name.ends_with("w1.weight") || info.name.ends_with("w3.weight")) {
      CHECK(info.initial_std == Approx(0.02 / 2));
      CHECK(info.learning_rate_scale == 0.25);
    } else if (info.name.ends_with("w2.weight")) {
      CHECK(info.initial_std == 0);
      CHECK(info.learning_rate_scale == 0.25);
    }
  }
}

// Levels of recomputing: the same gradients, and the memory that was promised.

#include "model/recompute.hpp"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "model/model_fixtures.hpp"
#include "model/transformer.hpp"
#include "runtime/device.hpp"
#include "support/catch.hpp"
#include "support/counting_device.hpp"

using namespace gristmill;
using model::Recompute;
using runtime::DType;

namespace {

std::vector<model::Config> all_kinds() {
  model::Config one_layer = test::small_llama(true);
  one_layer.layers = 1;
  model::Config deep = test::small_normed();
  deep.layers = 5;
  deep.tied = true;
  return {test::small_llama(true),
          test::small_llama(false),
          test::small_gpt2(),
          test::small_biased(),
          test::small_normed(),
          one_layer,
          deep};
}

model::Batch three_documents(const model::Config& config) {
  model::Batch batch;
  for (const size_t length : {9, 1, 13}) batch.add(test::random_ids(length, config.vocab_size, length));
  return batch;
}

std::vector<int32_t> targets_of(const model::Batch& batch) {
  auto targets = batch.ids;
  std::rotate(targets.begin(), targets.begin() + 1, targets.end());
  return targets;
}

constexpr Recompute kLevels[] = {Recompute::none, Recompute::norms, Recompute::block};

}  // namespace

TEST_CASE("gradients are the same bits at every level of recomputing", "[model]") {
  for (const auto& config : all_kinds()) {
    for (const char* kind : {"guarded", "f32", "bf16"}) {
      const auto device =
          kind == std::string("guarded")
              ? runtime::guard_device(runtime::open_reference_device(DType::f32))
              : runtime::open_device("cpu", 2, kind == std::string("bf16") ? DType::bf16 : DType::f32);
      model::Transformer model(*device, config);
      CHECK(model.recompute() == Recompute::norms);
      test::randomize(model, 5);
      const auto batch = three_documents(config);
      std::vector<double> losses;
      std::vector<std::vector<float>> gradients;
      for (const auto level : kLevels) {
        model.set_recompute(level);
        for (int repeat = 0; repeat < 2; ++repeat) {
          model.zero_gradients();
          losses.push_back(test::cross_entropy(model, batch, targets_of(batch), true));
          gradients.push_back(runtime::read_float(*device, model.gradients().all()));
        }
      }
      for (size_t i = 1; i < losses.size(); ++i) {
        INFO(device->name() << " " << config.to_json().dump() << " " << i);
        CHECK(losses[i] == losses[0]);
        CHECK(gradients[i] == gradients[0]);
      }
    }
  }
}

TEST_CASE("a model allocates at once what was announced, and nothing more in a step", "[model]") {
  for (const auto& config : all_kinds()) {
    for (const auto level : kLevels) {
      for (const auto type : {DType::f32, DType::f64, DType::bf16}) {
        test::CountingDevice device(type == DType::bf16 ? runtime::open_device("cpu", 1, type)
                                                        : runtime::open_reference_device(type));
        model::Transformer model(device, config);
        model.set_recompute(level);
        test::randomize(model, 5);
        model.gradients();
        const auto batch = three_documents(config);
        const int64_t before = device.held();
        const model::PassExtent extent{batch.tokens(), batch.tokens()};
        model.reserve(extent);
        INFO(config.to_json().dump() << " level " << static_cast<int>(level));
        CHECK(device.held() - before ==
              model::activation_bytes(config, extent, device.real(), device.compute(), level));
        const int64_t reserved = device.held();
        test::cross_entropy(model, batch, targets_of(batch), true);  // frees its own buffers
        model.forward(batch, false);
        CHECK(device.held() == reserved);
      }
    }
  }
}

TEST_CASE("gradients in memory reserved for more tokens are those of memory that grows", "[model]") {
  for (const auto& config : all_kinds()) {
    const auto device = runtime::open_device("cpu", 2, DType::bf16);
    const auto batch = three_documents(config);
    std::vector<std::vector<float>> gradients;
    for (const int64_t tokens : {int64_t{0}, batch.tokens() - 5, batch.tokens() + 9}) {
      model::Transformer model(*device, config);
      test::randomize(model, 5);
      if (tokens > 0) model.reserve({tokens, 1});
      for (int repeat = 0; repeat < 2; ++repeat) {
        model.zero_gradients();
        test::cross_entropy(model, batch, targets_of(batch), true);
        gradients.push_back(runtime::read_float(*device, model.gradients().all()));
      }
    }
    for (const auto& values : gradients) CHECK(values == gradients.front());
  }
}

TEST_CASE("recomputing more takes less memory, and bf16 activations less than those of fp32", "[model]") {
  model::Config config;
  config.layers = 12;
  const auto bytes = [&](Recompute level, DType compute) {
    return model::activation_bytes(config, {4096, 0}, DType::f32, compute, level);
  };
  CHECK(bytes(Recompute::norms, DType::f32) < bytes(Recompute::none, DType::f32));
  CHECK(bytes(Recompute::block, DType::f32) < bytes(Recompute::norms, DType::f32) / 3);
  for (const auto level : kLevels) CHECK(bytes(level, DType::bf16) < bytes(level, DType::f32));
}

TEST_CASE("a backward pass needs a forward pass at its own level", "[model]") {
  const auto device = runtime::open_reference_device(DType::f32);
  model::Transformer model(*device, test::small_llama(true));
  const auto hidden = model.forward(three_documents(model.config()));
  const runtime::Buffer dhidden(*device, DType::f32, hidden.rows, hidden.cols);
  model.set_recompute(Recompute::block);
  CHECK_THROWS_AS(model.backward(dhidden.view()), Error);
}

// Models with weights in int8: what they compute, how much they lose, and what they refuse.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/rng.hpp"
#include "model/model_directory.hpp"
#include "model/model_fixtures.hpp"
#include "model/quantized.hpp"
#include "runtime/backend.hpp"
#include "runtime/int8.hpp"
#include "support/catch.hpp"
#include "support/scratch.hpp"

using namespace gristmill;
using model::WeightStorage;
using runtime::DType;

namespace {

std::vector<model::Config> small_configs() {
  auto strips = test::small_llama(false);  // q, k and v fill strips, and are one product
  strips.heads = 8;
  strips.kv_heads = 4;
  strips.head_dim = 8;
  return {test::small_llama(true), test::small_gpt2(),    test::small_biased(),
          test::small_normed(),    test::small_experts(), strips};
}

/// What int8 makes of a row: computed here from the definition.
void round_row(std::vector<double>& values, size_t first, size_t step, size_t count) {
  float largest = 0;
  for (size_t i = 0; i < count; ++i)
    largest = std::max(largest, std::abs(static_cast<float>(values[first + i * step])));
  const float scale = largest / 127.0F;
  for (size_t i = 0; i < count; ++i) {
    double& value = values[first + i * step];
    value =
        static_cast<double>(scale) * std::nearbyint(static_cast<double>(static_cast<float>(value) / scale));
  }
}

/// The same weights twice: in int8, and as numbers that are what the int8 weights stand for.
struct Twins {
  Twins(runtime::Device& device, const model::Config& config)
      : int8(device, config, WeightStorage::int8), rounded(device, config) {
    test::randomize(rounded, 5);
    for (size_t i = 0; i < rounded.parameters().size(); ++i) {
      const auto& info = rounded.parameters().table()[i];
      auto values = runtime::read_real(device, rounded.parameters().view(i));
      model::write_parameter(int8.parameters(), i, std::span<const double>(values));
      const auto rows = static_cast<size_t>(info.rows), cols = static_cast<size_t>(info.cols);
      switch (int8.parameters().table()[i].storage) {
        case model::Storage::real:
          continue;
        case model::Storage::int8:
          for (size_t r = 0; r < rows; ++r) round_row(values, r * cols, 1, cols);
          break;
        case model::Storage::int8_turned:
          for (size_t c = 0; c < cols; ++c) round_row(values, c, cols, rows);
          break;
      }
      runtime::write_real(device, rounded.parameters().view(i), std::span<const double>(values));
    }
  }
  model::Transformer int8, rounded;
};

model::Batch a_document(const model::Config& config) {
  model::Batch batch;
  batch.add(test::random_ids(20, config.vocab_size, 1));
  return batch;
}

std::vector<double> logits_of(model::Transformer& model, runtime::ConstView hidden) {
  auto& device = model.device();
  const runtime::Buffer logits(device, device.real(), hidden.rows, model.config().vocab_size);
  model.logits(logits.view(), hidden);
  return runtime::read_real(device, logits.view());
}

std::vector<double> logits_of(model::Transformer& model, const model::Batch& batch) {
  return logits_of(model, model.forward(batch, false));
}

/// A pattern that a small model learns: three times of four an id follows from the last one.
std::vector<uint32_t> pattern(size_t count, uint32_t start) {
  Rng rng(start, stream_of(RandomStream::test));
  std::vector<uint32_t> ids = {start % 37};
  while (ids.size() < count) {
    const auto chance = static_cast<uint32_t>(rng.below(4 * 37));
    ids.push_back(chance < 37 ? chance : (3 * ids.back() + 5) % 37);
  }
  return ids;
}

/// Mean negative log-likelihood of the pattern, and its gradients.
double pattern_loss(model::Transformer& model, uint32_t start, bool backward) {
  model::Batch batch;
  std::vector<int32_t> targets;
  for (uint32_t d = 0; d < 8; ++d) {
    const auto ids = pattern(21, start + d);
    batch.add(std::span(ids).first(20));
    targets.insert(targets.end(), ids.begin() + 1, ids.end());
  }
  return test::cross_entropy(model, batch, targets, backward);
}

}  // namespace

TEST_CASE("a model in int8 computes what its rounded weights say", "[model]") {
  const auto reference = runtime::open_reference_device(DType::f64), cpu = runtime::open_device("cpu", 2),
             guarded = runtime::guard_device(runtime::open_device("cpu", 1));
  for (runtime::Device* device : {reference.get(), cpu.get(), guarded.get()}) {
    for (const auto& config : small_configs()) {
      Twins twins(*device, config);
      const auto batch = a_document(config);
      INFO(config.to_json().dump() << " on " << device->name());
      const double bound = device->real() == DType::f64 ? 1e-12 : 2e-4;  // activations of 16 bits
      CHECK(test::relative_difference(logits_of(twins.int8, batch), logits_of(twins.rounded, batch)) < bound);
    }
  }
}

TEST_CASE("a cached forward in int8 gives the packed one's logits, whatever the chunks", "[model]") {
  for (const DType compute : {DType::f32, DType::bf16}) {
    const auto device = runtime::open_device("cpu", 2, compute);
    for (const auto& config : small_configs()) {
      model::Transformer model(*device, config, WeightStorage::int8);
      model::initialize(model.parameters(), 3);
      const auto batch = a_document(config);
      const auto expected = logits_of(model, batch);
      for (const int32_t chunk : {1, 7, 20}) {
        model::KvCache cache(*device, config, 1, 24);
        std::vector<double> ours;
        for (int32_t first = 0; first < 20; first += chunk) {
          model::CachedRows rows;
          for (int32_t t = first; t < std::min(first + chunk, 20); ++t) {
            rows.ids.push_back(batch.ids[static_cast<size_t>(t)]);
            rows.sequence.push_back(0);
            rows.position.push_back(t);
          }
          const auto some = logits_of(model, model.forward_cached(cache, rows));
          ours.insert(ours.end(), some.begin(), some.end());
        }
        INFO("chunks of " << chunk);
        CHECK((ours == expected));
      }
    }
  }
}

TEST_CASE("a trained model loses little in int8, and takes a third of the memory or less", "[model]") {
  const auto device = runtime::open_device("cpu", 1);
  auto config = test::small_llama(true);
  config.dim = 32;
  config.head_dim = 8;
  config.hidden_dim = 96;
  model::Transformer model(*device, config);
  model::initialize(model.parameters(), 1);
  const auto size = model.parameters().all().cols;
  const runtime::Buffer m(*device, DType::f32, 1, size), v(*device, DType::f32, 1, size);
  runtime::AdamW step;
  step.learning_rate = 4e-3;
  for (step.step = 1; step.step <= 150; ++step.step) {
    model.zero_gradients();
    pattern_loss(model, static_cast<uint32_t>(step.step * 8), true);
    device->backend().adamw(model.parameters().all(), m.view(), v.view(), model.gradients().all(), step);
  }
  const test::ScratchFolder scratch;
  model::save_model(model, scratch.path().string());
  const double before = pattern_loss(model, 3, false);
  CHECK(before < 2.5);  // of log 37 = 3.6: it has learnt something that could be lost
  for (const DType compute : {DType::f32, DType::bf16}) {
    const auto other = runtime::open_device("cpu", 1, compute);
    const auto int8 =
        model::load_model(*other, scratch.path().string(), model::Head::language, 1, WeightStorage::int8);
    const double after = pattern_loss(*int8, 3, false);
    INFO(before << " nats in f32, " << after << " in int8");
    CHECK(std::abs(after - before) < 0.02);
    CHECK(after != before);
    const int64_t bytes = int8->parameters().int8_arena().size() + 4 * int8->parameters().all().size();
    CHECK(bytes < 4 * size / 3);  // strips of 32 rows fit badly to 37 ids
  }
}

TEST_CASE("weights in int8 are not trained", "[model]") {
  const auto device = runtime::open_device("cpu", 1);
  const auto config = test::small_llama(true);
  model::Transformer model(*device, config, WeightStorage::int8);
  CHECK_THROWS_WITH(model.gradients(), test::contains("int8"));
  CHECK_THROWS_WITH(pattern_loss(model, 1, true), test::contains("int8"));
  const std::vector<float> few(3);
  CHECK_THROWS_AS(model::write_parameter(model.parameters(), 0, std::span<const float>(few)), Error);
}

TEST_CASE("a row that int8 cannot hold is refused by name before memory is asked for", "[model]") {
  auto config = test::small_llama(true);
  config.hidden_dim = runtime::kInt8MostCols + 4;
  CHECK_THROWS_WITH(model::stored_table(config, WeightStorage::int8), test::contains("down_proj"));
}

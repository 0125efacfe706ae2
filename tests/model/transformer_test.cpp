// Gradients against finite differences, packing, the cache, and the rules of accumulation, on the
// double-precision reference, the CPU and a device whose memory the host cannot touch.

#include <cmath>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/rng.hpp"
#include "model/model_fixtures.hpp"
#include "model/transformer.hpp"
#include "runtime/bfloat16.hpp"
#include "runtime/device.hpp"
#include "support/catch.hpp"

using namespace gristmill;
using runtime::DType;

namespace {

model::Batch two_documents(const model::Config& config) {
  model::Batch batch;
  batch.add(test::random_ids(9, config.vocab_size, 1));
  batch.add(test::random_ids(5, config.vocab_size, 2));
  return batch;
}

std::vector<int32_t> random_targets(const model::Batch& batch, const model::Config& config) {
  const auto ids = test::random_ids(batch.ids.size(), config.vocab_size, 3);
  return {ids.begin(), ids.end()};
}

/// Moves some elements of every parameter by ±h and compares the loss's slope with the gradient.
void check_gradients(model::Transformer& model, const std::function<double()>& loss) {
  auto& parameters = model.parameters();
  for (size_t i = 0; i < parameters.size(); ++i) {
    const auto view = parameters.view(i);
    const auto gradient = runtime::read_real(model.device(), model.gradients().view(i));
    auto values = runtime::read_real(model.device(), view);
    Rng rng(7, stream_of(RandomStream::test, i));
    for (int sample = 0; sample < 6; ++sample) {
      const auto at = static_cast<size_t>(rng.below(values.size()));
      const double old = values[at], h = 1e-5;
      const auto loss_at = [&](double value) {
        values[at] = value;
        runtime::write_real(model.device(), view, std::span<const double>(values));
        return loss();
      };
      const double slope = (loss_at(old + h) - loss_at(old - h)) / (2 * h);
      loss_at(old);
      INFO(parameters.table()[i].name << " element " << at);
      CHECK(gradient[at] == Approx(slope).epsilon(1e-6).margin(1e-9));
    }
  }
}

void check_language_gradients(const model::Config& config) {
  const auto device = runtime::open_reference_device(DType::f64);
  model::Transformer model(*device, config);
  test::randomize(model, 11);
  const auto batch = two_documents(config);
  const auto targets = random_targets(batch, config);
  test::cross_entropy(model, batch, targets, true);
  check_gradients(model, [&] { return test::cross_entropy(model, batch, targets, false); });
}

/// Sum of weighted scalar-head values over all rows, and its gradients.
double scalar_loss(model::Transformer& model, const model::Batch& batch, bool backward) {
  auto& device = model.device();
  const auto hidden = model.forward(batch, backward);
  const runtime::Buffer values(device, device.real(), hidden.rows, 1),
      dvalues(device, device.real(), hidden.rows, 1);
  const runtime::Buffer dhidden(device, device.real(), hidden.rows, hidden.cols);
  model.scalar_head(values.view(), hidden);
  const auto read = runtime::read_real(device, values.view());
  std::vector<double> weights(read.size());
  double sum = 0;
  for (size_t i = 0; i < read.size(); ++i) {
    weights[i] = 0.1 * static_cast<double>(i % 5) - 0.2;
    sum += weights[i] * read[i];
  }
  if (!backward) return sum;
  runtime::write_real(device, dvalues.view(), std::span<const double>(weights));
  model.scalar_head_backward(dhidden.view(), dvalues.view(), hidden);
  model.backward(dhidden.view());
  device.synchronize();
  return sum;
}

std::vector<double> hidden_of(model::Transformer& model, const model::Batch& batch, bool keep = false) {
  const auto view = model.forward(batch, keep);
  return runtime::read_real(model.device(), view);
}

std::vector<std::unique_ptr<runtime::Device>> all_devices() {
  std::vector<std::unique_ptr<runtime::Device>> devices;
  devices.push_back(runtime::open_reference_device(DType::f64));
  devices.push_back(runtime::open_device("cpu", 2));
  devices.push_back(runtime::guard_device(runtime::open_reference_device(DType::f32)));
  return devices;
}

}  // namespace

TEST_CASE("gradients of a tied Llama with grouped queries are the loss's slopes", "[model]") {
  check_language_gradients(test::small_llama(true));
}

TEST_CASE("gradients of an untied Llama with a key head for each query head are the loss's slopes",
          "[model]") {
  check_language_gradients(test::small_llama(false, 4));
}

TEST_CASE("gradients of a Llama whose matrices leave gaps in the arena are the loss's slopes", "[model]") {
  model::Config config = test::small_llama(false);
  config.dim = 20;
  config.hidden_dim = 13;  // no multiple of 16 elements: q, k, v and gate, up are products of their own
  check_language_gradients(config);
}

TEST_CASE("gradients with biases of q, k and v are the loss's slopes", "[model]") {
  model::Config config = test::small_biased();
  check_language_gradients(config);
  config.dim = 20;
  config.head_dim = 10;  // biases of 40 and 20 elements leave gaps, weights of 800 and 400 do not
  check_language_gradients(config);
}

TEST_CASE("gradients with normed queries and keys are the loss's slopes", "[model]") {
  for (const int64_t kv_heads : {1, 4}) {
    model::Config config = test::small_normed();
    config.kv_heads = kv_heads;
    check_language_gradients(config);
  }
}

TEST_CASE("gradients of a GPT-2 are the loss's slopes", "[model]") {
  check_language_gradients(test::small_gpt2());
}

TEST_CASE("gradients of an untied GPT-2 are the loss's slopes", "[model]") {
  model::Config config = test::small_gpt2();
  config.tied = false;
  check_language_gradients(config);
}

TEST_CASE("gradients of a scalar head are its slopes", "[model]") {
  for (model::Config config : {test::small_llama(true), test::small_gpt2()}) {
    config.head = model::Head::scalar;
    const auto device = runtime::open_reference_device(DType::f64);
    model::Transformer model(*device, config);
    test::randomize(model, 13);
    const auto batch = two_documents(config);
    scalar_loss(model, batch, true);
    check_gradients(model, [&] { return scalar_loss(model, batch, false); });
  }
}

TEST_CASE("packed documents give what each gives alone", "[model]") {
  for (const auto& device : all_devices()) {
    for (const auto& config :
         {test::small_llama(true), test::small_gpt2(), test::small_biased(), test::small_normed()}) {
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
      INFO(device->name());
      CHECK(test::relative_difference(hidden_of(model, packed), separate) <
            (device->real() == DType::f64 ? 1e-14 : 2e-6));
    }
  }
}

TEST_CASE(
    "a kept and an unkept forward agree bit for bit, and the second does not disturb the first's backward",
    "[model]") {
  for (const auto& device : all_devices()) {
    const auto config = test::small_llama(true);
    model::Transformer model(*device, config);
    test::randomize(model, 5);
    const auto batch = two_documents(config);
    model::Batch other;
    other.add(test::random_ids(20, config.vocab_size, 9));
    CHECK(hidden_of(model, batch, true) == hidden_of(model, batch, false));
    std::vector<std::vector<double>> gradients;
    for (const bool disturb : {false, true}) {
      const auto hidden = model.forward(batch);
      const runtime::Buffer dhidden(*device, device->real(), hidden.rows, hidden.cols);
      device->backend().fill(dhidden.view(), 0.01);
      if (disturb) hidden_of(model, other);
      model.zero_gradients();
      model.backward(dhidden.view());
      gradients.push_back(runtime::read_real(*device, model.gradients().all()));
    }
    CHECK(gradients[0] == gradients[1]);
  }
}

TEST_CASE("a cached forward gives the packed one's hidden states", "[model]") {
  for (const auto& device : all_devices()) {
    for (const auto& config :
         {test::small_llama(false), test::small_gpt2(), test::small_biased(), test::small_normed()}) {
      model::Transformer model(*device, config);
      test::randomize(model, 5);
      const auto first = test::random_ids(11, config.vocab_size, 1),
                 second = test::random_ids(7, config.vocab_size, 2);
      model::Batch packed;
      packed.add(second);
      packed.add(first);
      const auto expected = hidden_of(model, packed);
      // Sequence 1 reads 6 rows at once, then both go on one row at a time.
      model::KvCache cache(*device, config, 2, 16);
      std::vector<double> ours(expected.size());
      const auto place = [&](const model::CachedRows& rows) {
        const auto values = runtime::read_real(*device, model.forward_cached(cache, rows));
        for (size_t r = 0; r < rows.ids.size(); ++r) {
          const auto row = static_cast<size_t>(rows.position[r] + (rows.sequence[r] == 1 ? 7 : 0));
          std::copy_n(values.begin() + static_cast<std::ptrdiff_t>(r * static_cast<size_t>(config.dim)),
                      config.dim,
                      ours.begin() + static_cast<std::ptrdiff_t>(row * static_cast<size_t>(config.dim)));
        }
      };
      model::CachedRows prompt;
      for (int32_t t = 0; t < 6; ++t) {
        prompt.ids.push_back(static_cast<int32_t>(first[static_cast<size_t>(t)]));
        prompt.sequence.push_back(1);
        prompt.position.push_back(t);
      }
      place(prompt);
      for (int32_t t = 0; t < 7; ++t) {
        model::CachedRows rows;
        rows.ids = {static_cast<int32_t>(second[static_cast<size_t>(t)])};
        rows.sequence = {0};
        rows.position = {t};
        if (t < 5) {
          rows.ids.push_back(static_cast<int32_t>(first[static_cast<size_t>(t + 6)]));
          rows.sequence.push_back(1);
          rows.position.push_back(t + 6);
        }
        place(rows);
      }
      INFO(device->name());
      CHECK(test::relative_difference(ours, expected) < (device->real() == DType::f64 ? 1e-14 : 2e-6));
    }
  }
}

namespace {

/// Root of the mean square difference, relative to that of `b`.
double mean_difference(const std::vector<double>& a, const std::vector<double>& b) {
  REQUIRE(a.size() == b.size());
  double difference = 0, size = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference += (a[i] - b[i]) * (a[i] - b[i]);
    size += b[i] * b[i];
  }
  return std::sqrt(difference / size);
}

void round_parameters(model::Transformer& model) {
  const auto all = model.parameters().all();
  auto values = runtime::read_real(model.device(), all);
  for (double& value : values) {
    value = static_cast<double>(runtime::widened(runtime::narrowed(static_cast<float>(value))));
  }
  runtime::write_real(model.device(), all, std::span<const double>(values));
}

}  // namespace

// How far is near? In fp32 with all parameters rounded to bf16 one operand of every product has an error of
// one rounding; how much of it arrives at the outputs is a matter of the model. In bf16 each product has
// three such errors, of its two operands and of its result. They are independent and alike in size, so that
// their squares add: the outputs are off by at most √3 times as much (what is stored as bf16 without being
// rounded anew for the next product counts once, which makes it less).
TEST_CASE("with bf16 activations hidden states and gradients stay near those of fp32", "[model]") {
  const auto narrow = runtime::open_device("cpu", 2, DType::bf16), wide = runtime::open_device("cpu", 2);
  for (const auto& config :
       {test::small_llama(true), test::small_gpt2(), test::small_biased(), test::small_normed()}) {
    std::vector<std::vector<double>> hidden, gradients;
    const auto run = [&](runtime::Device& device, bool rounded) {
      model::Transformer model(device, config);
      test::randomize(model, 5);
      if (rounded) round_parameters(model);
      const auto batch = two_documents(config);
      hidden.push_back(hidden_of(model, batch));
      test::cross_entropy(model, batch, random_targets(batch, config), true);
      gradients.push_back(runtime::read_real(model.device(), model.gradients().all()));
    };
    run(*wide, false);
    run(*wide, true);
    run(*narrow, false);
    INFO(config.to_json().dump());
    for (const auto* each : {&hidden, &gradients}) {
      const double bound = std::sqrt(3.0) * mean_difference((*each)[1], (*each)[0]);
      CHECK(bound < 0.03);
      CHECK(mean_difference((*each)[2], (*each)[0]) <= bound);
      CHECK((*each)[2] != (*each)[0]);
    }
  }
}

TEST_CASE("micro-batches add to the gradients in order, each once", "[model]") {
  for (const auto& device : all_devices()) {
    for (const auto& config : {test::small_llama(true), test::small_llama(false), test::small_gpt2(),
                               test::small_biased(), test::small_normed()}) {
      model::Transformer model(*device, config);
      test::randomize(model, 5);
      const auto batch = two_documents(config);
      const auto targets = random_targets(batch, config);
      model::Batch other;
      other.add(test::random_ids(8, config.vocab_size, 4));
      const auto other_targets = random_targets(other, config);
      const auto alone = [&](const model::Batch& one, const std::vector<int32_t>& goals) {
        model.zero_gradients();
        test::cross_entropy(model, one, goals, true);
        return runtime::read_float(*device, model.gradients().all());
      };
      const auto first = alone(batch, targets), second = alone(other, other_targets);
      model.zero_gradients();
      test::cross_entropy(model, batch, targets, true);
      test::cross_entropy(model, other, other_targets, true);
      const auto both = runtime::read_float(*device, model.gradients().all());
      if (device->real() == DType::f64) continue;  // float copies of doubles do not add exactly
      std::vector<float> sum(first.size());
      for (size_t i = 0; i < sum.size(); ++i) sum[i] = first[i] + second[i];
      INFO(device->name());
      CHECK(both == sum);
    }
  }
}

TEST_CASE("results do not depend on the number of threads", "[model]") {
  const auto config = test::small_llama(true);
  std::vector<std::vector<double>> hidden, gradients;
  for (const int threads : {1, 2, 3}) {
    const auto device = runtime::open_device("cpu", threads);
    model::Transformer model(*device, config);
    model::initialize(model.parameters(), 3);
    const auto batch = two_documents(config);
    hidden.push_back(hidden_of(model, batch));
    test::cross_entropy(model, batch, random_targets(batch, config), true);
    gradients.push_back(runtime::read_real(*device, model.gradients().all()));
  }
  CHECK(hidden[0] == hidden[1]);
  CHECK(hidden[0] == hidden[2]);
  CHECK(gradients[0] == gradients[1]);
  CHECK(gradients[0] == gradients[2]);
}

TEST_CASE("a batch that cannot be run is refused", "[model]") {
  const auto device = runtime::open_reference_device(DType::f32);
  const auto config = test::small_llama(true);
  model::Transformer model(*device, config);
  model::Batch batch;
  batch.add(std::vector<uint32_t>{1, 2, 37});
  CHECK_THROWS_WITH(model.forward(batch),
                    test::contains("token id 37 is outside the model's vocabulary of 37"));
  model::Batch long_batch;
  long_batch.add(test::random_ids(33, config.vocab_size, 1));
  CHECK_THROWS_WITH(model.forward(long_batch), test::contains("longer than the model's context of 32"));
  CHECK_THROWS_AS(model.forward(model::Batch{}), Error);
  const runtime::Buffer dhidden(*device, DType::f32, 1, config.dim);
  CHECK_THROWS_AS(model.backward(dhidden.view()), Error);
  CHECK_THROWS_AS(model.scalar_head(dhidden.view(), dhidden.view()), Error);
}

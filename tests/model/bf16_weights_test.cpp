// Models with weights in bf16 compute what models in f32 with the same numbers do, bit for bit.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "model/model_directory.hpp"
#include "model/model_fixtures.hpp"
#include "model/quantized.hpp"
#include "runtime/bfloat16.hpp"
#include "support/catch.hpp"
#include "support/scratch.hpp"

using namespace gristmill;
using model::WeightStorage;
using runtime::DType;

namespace {

std::vector<model::Config> all_configs() {
  return {test::small_llama(true), test::small_llama(false),  test::small_gpt2(),        test::small_biased(),
          test::small_normed(),    test::small_experts(true), test::small_experts(false)};
}

/// The model's weights become bf16 numbers, whatever they are held in.
void round_weights(model::Transformer& model) {
  auto& parameters = model.parameters();
  for (size_t i = 0; i < parameters.size(); ++i) {
    auto values = runtime::read_real(model.device(), parameters.view(i));
    for (double& value : values)
      value = static_cast<double>(runtime::widened(runtime::narrowed(static_cast<float>(value))));
    model::write_parameter(parameters, i, std::span<const double>(values));
  }
}

/// Loss and all gradients of one batch of two documents.
std::vector<double> results_of(model::Transformer& model) {
  model::Batch batch;
  batch.add(test::random_ids(9, 37, 1));
  batch.add(test::random_ids(14, 37, 2));
  const auto ids = test::random_ids(23, 37, 3);
  model.zero_gradients();
  const double loss = test::cross_entropy(model, batch, {ids.begin(), ids.end()}, true);
  auto results = runtime::read_real(model.device(), model.gradients().all());
  results.push_back(loss);
  return results;
}

}  // namespace

TEST_CASE("weights in bf16 give the loss and gradients of equal weights in f32", "[model]") {
  const auto device = runtime::open_device("cpu", 2, DType::bf16);
  for (const auto& config : all_configs()) {
    CAPTURE(config.to_json().dump());
    model::Transformer wide(*device, config), narrow(*device, config, WeightStorage::bf16);
    test::randomize(wide, 5);
    test::randomize(narrow, 5);
    const auto before = results_of(wide);
    round_weights(wide);
    const auto expected = results_of(wide);
    CHECK(results_of(narrow) == expected);
    CHECK(before != expected);  // rounding norms and biases shows
    CHECK(narrow.parameters().type() == DType::bf16);
    CHECK(narrow.gradients().type() == DType::f32);
  }
}

TEST_CASE("weights in bf16 are saved and loaded as they are", "[model]") {
  const auto device = runtime::open_device("cpu", 1, DType::bf16);
  const auto config = test::small_llama(false);
  model::Transformer model(*device, config, WeightStorage::bf16);
  test::randomize(model, 6);
  for (const auto type : {model::StoredType::f32, model::StoredType::bf16}) {
    const test::ScratchFolder scratch;
    model::save_model(model, scratch.path().string(), "", {type, 0});
    const auto again =
        model::load_model(*device, scratch.path().string(), model::Head::language, 1, WeightStorage::bf16);
    CHECK(runtime::read_real(*device, again->parameters().all()) ==
          runtime::read_real(*device, model.parameters().all()));
  }
}

TEST_CASE("weights in bf16 need a device that computes in it", "[model]") {
  const auto device = runtime::open_device("cpu", 1);
  CHECK_THROWS_WITH(model::Transformer(*device, test::small_llama(true), WeightStorage::bf16),
                    test::contains("--dtype bf16"));
}

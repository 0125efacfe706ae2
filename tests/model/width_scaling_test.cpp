// The coordinate check of width scaling (Yang et al. 2022, appendix D.1): after a few steps of Adam at one
// learning rate, activations have moved by about as much at every width; without it they move more the wider
// the model is.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "model/model_fixtures.hpp"
#include "model/parameters.hpp"
#include "model/transformer.hpp"
#include "runtime/device.hpp"
#include "support/catch.hpp"

using namespace gristmill;

namespace {

constexpr int64_t kBase = 32;

model::Config config_of(int64_t dim, bool tied, bool scaled, model::Family family) {
  model::Config config;
  config.family = family;
  config.vocab_size = 37;
  config.dim = dim;
  config.layers = 2;
  config.head_dim = 16;
  config.heads = dim / config.head_dim;
  config.kv_heads = config.heads;
  config.hidden_dim = 2 * dim;
  config.context = 32;
  config.tied = tied;
  config.mup_base_dim = scaled ? kBase : 0;
  return config;
}

std::vector<double> logits_of(model::Transformer& model, const model::Batch& batch) {
  auto& device = model.device();
  const auto hidden = model.forward(batch, false);
  const runtime::Buffer logits(device, device.real(), hidden.rows, model.config().vocab_size);
  model.logits(logits.view(), hidden);
  return runtime::read_real(device, logits.view());
}

/// Root mean square of what three steps change in the logits.
double movement(const model::Config& config) {
  const auto device = runtime::open_device("cpu", 1);
  model::Transformer model(*device, config);
  model::initialize(model.parameters(), 1);
  model::Batch batch;
  batch.add(test::random_ids(16, config.vocab_size, 4));
  auto targets = batch.ids;
  std::rotate(targets.begin(), targets.begin() + 1, targets.end());
  const auto before = logits_of(model, batch);
  const model::ParameterSet m(*device, model.parameters().table()), v(*device, model.parameters().table());
  for (int64_t step = 1; step <= 3; ++step) {
    model.zero_gradients();
    test::cross_entropy(model, batch, targets, true);
    runtime::AdamW args;
    args.step = step;
    for (size_t i = 0; i < model.parameters().size(); ++i) {
      args.learning_rate = 0.005 * model.parameters().table()[i].learning_rate_scale;
      device->backend().adamw(model.parameters().view(i), m.view(i), v.view(i), model.gradients().view(i),
                              args);
    }
  }
  const auto after = logits_of(model, batch);
  double sum = 0;
  for (size_t i = 0; i < after.size(); ++i) sum += (after[i] - before[i]) * (after[i] - before[i]);
  return std::sqrt(sum / static_cast<double>(after.size()));
}

}  // namespace

TEST_CASE("with width scaling the logits move alike at every width, without it more the wider", "[model]") {
  for (const auto family : {model::Family::llama, model::Family::gpt2}) {
    for (const bool tied : {false, true}) {
      const auto growth = [&](bool scaled) {
        return movement(config_of(4 * kBase, tied, scaled, family)) /
               movement(config_of(kBase, tied, scaled, family));
      };
      const double scaled = growth(true), plain = growth(false);
      INFO("tied " << tied << ": 4 times the width moves the logits " << scaled << " times as far, plain "
                   << plain);
      CHECK(scaled > 0.7);
      CHECK(scaled < 1.4);
      CHECK(plain > 2.2);
    }
  }
}

TEST_CASE("width scaling at the base width is none, and at twice the width is table 8", "[model]") {
  const auto family = model::Family::llama;
  const auto plain = model::parameter_table(config_of(kBase, false, false, family));
  const auto base = model::parameter_table(config_of(kBase, false, true, family));
  for (size_t i = 0; i < plain.size(); ++i) {
    CHECK(base[i].initial_std == plain[i].initial_std);
    CHECK(base[i].learning_rate_scale == 1);
  }
  for (const bool tied : {false, true}) {
    const auto wide = model::parameter_table(config_of(2 * kBase, tied, true, family));
    const auto find = [&](const std::string& name) {
      return *std::find_if(wide.begin(), wide.end(), [&](const auto& info) { return info.name == name; });
    };
    CHECK(find("model.embed_tokens.weight").learning_rate_scale == 1);
    CHECK(find("model.embed_tokens.weight").initial_std == 0.02);
    CHECK(find("model.layers.1.mlp.up_proj.weight").learning_rate_scale == 0.5);
    CHECK(find("model.layers.1.mlp.up_proj.weight").initial_std == Approx(0.02 / std::sqrt(2)));
    CHECK(find("model.layers.1.input_layernorm.weight").learning_rate_scale == 1);
    CHECK(find("model.norm.weight").learning_rate_scale == (tied ? 0.5 : 1));
    CHECK(find("model.norm.weight").initial_scale == (tied ? 0.5 : 1));
    if (tied) continue;
    CHECK(find("lm_head.weight").initial_std == 0.01);
    CHECK(find("lm_head.weight").learning_rate_scale == 0.5);
  }
}

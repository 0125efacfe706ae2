#pragma once

// Small models, batches and measures that the tests of the model share.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/rng.hpp"
#include "model/config.hpp"
#include "model/transformer.hpp"
#include "runtime/device.hpp"

namespace gristmill::test {

inline model::Config small_llama(bool tied, int64_t kv_heads = 2) {
  model::Config config;
  config.vocab_size = 37;
  config.dim = 24;
  config.layers = 2;
  config.heads = 4;
  config.kv_heads = kv_heads;
  config.head_dim = 6;
  config.hidden_dim = 40;
  config.context = 32;
  config.tied = tied;
  return config;
}

inline model::Config small_gpt2() {
  model::Config config = small_llama(true, 4);
  config.family = model::Family::gpt2;
  return config;
}

/// As Qwen2: q, k and v have biases.
inline model::Config small_biased() {
  model::Config config = small_llama(true);
  config.qkv_bias = true;
  return config;
}

/// As Qwen3: heads are normed, and are not as wide together as the model.
inline model::Config small_normed() {
  model::Config config = small_llama(false);
  config.qk_norm = true;
  config.head_dim = 8;
  return config;
}

/// As Mixtral: four experts, two of which work on a token.
inline model::Config small_experts(bool tied = false) {
  model::Config config = small_llama(tied);
  config.experts = 4;
  config.hidden_dim = 20;
  config.rope_theta = 1e6;
  return config;
}

/// Weights large enough that every parameter matters; norms and biases are moved off 1 and 0.
inline void randomize(model::Transformer& model, uint64_t seed, double std = 0.2) {
  auto& parameters = model.parameters();
  for (size_t i = 0; i < parameters.size(); ++i) {
    const auto& info = parameters.table()[i];
    Rng rng(seed, stream_of(RandomStream::test, i));
    std::vector<double> values(static_cast<size_t>(info.size()));
    for (auto& value : values) value = (info.initial_one ? 1 : 0) + std * rng.normal();
    runtime::write_real(parameters.device(), parameters.view(i), std::span<const double>(values));
  }
}

inline std::vector<uint32_t> random_ids(size_t count, int64_t vocab, uint64_t seed) {
  Rng rng(seed, stream_of(RandomStream::test));
  std::vector<uint32_t> ids(count);
  for (auto& id : ids) id = static_cast<uint32_t>(rng.below(static_cast<uint64_t>(vocab)));
  return ids;
}

/// Mean negative log-likelihood of `targets` (one a row) and, with `backward`, its gradients.
inline double cross_entropy(model::Transformer& model, const model::Batch& batch,
                            const std::vector<int32_t>& targets, bool backward,
                            const model::RouterLosses& losses = {}) {
  auto& device = model.device();
  const auto rows = batch.tokens();
  const auto hidden = model.forward(batch, backward);
  const runtime::Buffer target(device, runtime::DType::i32, rows, 1),
      log_prob(device, device.real(), rows, 1);
  runtime::write_ints(device, target.view(), targets);
  runtime::HeadValues values;
  values.log_prob = log_prob.view();
  if (backward) {
    const runtime::Buffer upstream(device, device.real(), rows, 1),
        dhidden(device, device.real(), rows, hidden.cols);
    device.backend().fill(upstream.view(), -1 / static_cast<double>(rows));
    runtime::HeadGradients gradients;
    gradients.log_prob = upstream.view();
    model.head_backward(dhidden.view(), values, hidden, target.view(), gradients);
    model.backward(dhidden.view(), losses);
    device.synchronize();
  } else {
    model.head(values, hidden, target.view());
  }
  double sum = 0;
  for (const double value : runtime::read_real(device, log_prob.view())) sum -= value;
  return sum / static_cast<double>(rows);
}

/// The largest difference of two tensors relative to the largest element of the second: what rounding can be
/// held to.
inline double relative_difference(const std::vector<double>& a, const std::vector<double>& b) {
  double worst = a.size() == b.size() ? 0 : INFINITY, largest = 1e-30;
  for (const double value : b) largest = std::max(largest, std::abs(value));
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    worst = std::isfinite(a[i]) ? std::max(worst, std::abs(a[i] - b[i])) : INFINITY;
  }
  return worst / largest;
}

}  // namespace gristmill::test

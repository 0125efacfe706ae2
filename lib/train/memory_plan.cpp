#include "train/memory_plan.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/log.hpp"
#include "model/parameters.hpp"

namespace gristmill::train {

namespace {

using model::ParameterInfo;

uint64_t elements(const std::vector<ParameterInfo>& table) {
  int64_t count = 0;
  for (const auto& info : table) count = std::max(count, info.offset + info.size());
  return static_cast<uint64_t>(count);
}

/// Elements of the largest tensor: a checkpoint is written one at a time.
uint64_t largest(const std::vector<ParameterInfo>& table) {
  int64_t size = 0;
  for (const auto& info : table) size = std::max(size, info.size());
  return static_cast<uint64_t>(size);
}

/// Matrices in the form that products take, as they are and turned round for the way back: the CPU keeps
/// those of small products (in bf16 up to kFewRows rows) from update to update, and makes others one at a
/// time.
uint64_t packed_bytes(const std::vector<ParameterInfo>& table, const MemoryPlanOptions& options) {
  constexpr int64_t kFewRows = 512;
  uint64_t all = 0;
  for (const auto& info : table)
    all += info.rows > 1 && info.cols > 1 ? static_cast<uint64_t>(info.size()) : 0;
  const bool keeps = options.compute != options.real && options.micro_batch_tokens <= kFewRows;
  return 2 * (keeps ? all : largest(table)) * runtime::size_of(options.compute);
}

/// The model's own, the gradient of its output, and what a forward pass that keeps nothing has beside them:
/// two layers' activations that take turns.
uint64_t activations(const model::Config& config, const MemoryPlanOptions& options) {
  const auto bytes = [&](int64_t layers, model::Recompute recompute) {
    model::Config cut = config;
    cut.layers = layers;
    return model::activation_bytes(cut, options.micro_batch_tokens, options.real, options.compute, recompute);
  };
  int64_t sum = bytes(config.layers, options.recompute);
  sum += options.micro_batch_tokens * config.dim * static_cast<int64_t>(runtime::size_of(options.real));
  if (options.validates) sum += 2 * (bytes(2, model::Recompute::none) - bytes(1, model::Recompute::none));
  return static_cast<uint64_t>(sum);
}

/// Logits of a chunk of rows, and the head's gradient before it is added to the others.
uint64_t head_bytes(const model::Config& config, const MemoryPlanOptions& options) {
  constexpr int64_t kChunkLogits = int64_t{1} << 24, kFewestRows = 96, kMostRows = 384;
  const int64_t rows = std::clamp(kChunkLogits / config.vocab_size, kFewestRows, kMostRows);
  const int64_t logits = std::min(rows, options.micro_batch_tokens) * config.vocab_size;
  return static_cast<uint64_t>(logits + config.vocab_size * config.dim) * runtime::size_of(options.real);
}

}  // namespace

uint64_t MemoryPlan::total() const {
  uint64_t sum = 0;
  for (const auto& [name, bytes] : parts) sum += bytes;
  return sum;
}

MemoryPlan plan_memory(const model::Config& config, const MemoryPlanOptions& options) {
  const auto table = model::parameter_table(config);
  const uint64_t real = runtime::size_of(options.real), parameters = elements(table) * real,
                 moments = parameters + elements(second_moments(table, options.optimizer)) * real;
  MemoryPlan plan;
  plan.parts = {{"parameters", parameters},
                {"packed weights", packed_bytes(table, options)},
                {"gradients", parameters},
                {"optimizer state", moments / static_cast<uint64_t>(options.ranks)},
                {"activations of one micro-batch", activations(config, options)},
                {"head", head_bytes(config, options)},
                {"a checkpoint while it is written", 2 * largest(table) * real}};
  if (options.ranks > 1)
    plan.parts.emplace_back("own part of the summed gradients",
                            parameters / static_cast<uint64_t>(options.ranks));
  return plan;
}

void report_memory(const MemoryPlan& plan, std::optional<uint64_t> available) {
  for (const auto& [name, bytes] : plan.parts) log::info("memory: ", name, ": ", format_bytes(bytes));
  log::info("memory: sum: ", format_bytes(plan.total()),
            available ? str(" of ", format_bytes(*available)) : std::string());
  if (!available || plan.total() <= *available) return;
  fail(Kind::device, "the run needs ", format_bytes(plan.total()), " of memory and ",
       format_bytes(*available),
       " are available; lower --micro-batch-tokens, use --recompute block or --dtype bf16, or make the model "
       "smaller");
}

}  // namespace gristmill::train

#include "train/memory_plan.hpp"

#include <algorithm>
#include <optional>
#include <string>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/memory.hpp"
#include "model/parameters.hpp"
#include "model/safetensors.hpp"

namespace gristmill::train {

namespace {

using model::ParameterInfo;

uint64_t elements(const std::vector<ParameterInfo>& table) {
  return static_cast<uint64_t>(model::arena_size(table));
}

/// Elements of the largest tensor.
uint64_t largest(const std::vector<ParameterInfo>& table) {
  int64_t size = 0;
  for (const auto& info : table) size = std::max(size, info.size());
  return static_cast<uint64_t>(size);
}

int64_t most_tokens(const MemoryPlanOptions& options) {
  return std::max(options.extent.kept, options.extent.passing);
}

/// Matrices in the form that products take, as they are and turned round for the way back: the CPU keeps
/// those of small products (in bf16 up to kFewRows rows; of experts their rows together) from update to
/// update, and makes others one at a time.
MemoryPlan::Part packed_weights(const model::Config& config, const std::vector<ParameterInfo>& table,
                                const MemoryPlanOptions& options) {
  constexpr int64_t kFewRows = 512;
  const auto keeps = [&](const ParameterInfo& info) {
    if (options.cached_sequences > 0) return true;
    const bool expert = info.name.find(".experts.") != std::string::npos;
    const int64_t rows = most_tokens(options) * (expert ? config.experts_per_token : 1);
    return options.compute != options.real && rows <= kFewRows;
  };
  uint64_t kept = 0, made = 0;
  for (const auto& info : table) {
    if (info.rows <= 1 || info.cols <= 1) continue;
    const auto size = static_cast<uint64_t>(info.size());
    if (keeps(info)) {
      kept += size;
    } else {
      made = std::max(made, size);
    }
  }
  return {"packed weights", 2 * (kept + made) * runtime::size_of(options.compute), kept == 0};
}

/// A plan may be of a run that no machine could hold: then the figure says so, in place of an overflow.
uint64_t key_value_bytes(const model::Config& config, const MemoryPlanOptions& options) {
  constexpr double kMost = 0x1p62;
  double bytes = 2 * static_cast<double>(runtime::size_of(options.compute));
  for (const int64_t extent :
       {options.cached_sequences, options.cached_positions, config.layers, config.kv_heads, config.head_dim})
    bytes *= static_cast<double>(extent);
  return static_cast<uint64_t>(std::min(bytes, kMost));
}

uint64_t activations(const model::Config& config, const MemoryPlanOptions& options) {
  return static_cast<uint64_t>(
      model::activation_bytes(config, options.extent, options.real, options.compute, options.recompute) +
      options.objective_bytes);
}

/// Logits of a chunk of rows, or of the sequences that are sampled; and where the gradient of a head with
/// weights of its own is summed over several chunks, before it is added to the others.
uint64_t head_bytes(const model::Config& config, const MemoryPlanOptions& options, bool learns) {
  if (config.head != model::Head::language) return 0;
  constexpr int64_t kChunkLogits = int64_t{1} << 24, kFewestRows = 96, kMostRows = 384;
  const int64_t chunk = std::clamp(kChunkLogits / config.vocab_size, kFewestRows, kMostRows);
  const int64_t logits = std::min(chunk, most_tokens(options)) + options.cached_sequences;
  const bool sums = learns && !config.tied && options.extent.kept > chunk;
  return static_cast<uint64_t>((logits + (sums ? config.dim : 0)) * config.vocab_size) *
         runtime::size_of(options.real);
}

/// Beside the weights themselves: a checkpoint is written in pieces, or of several ranks a tensor at a time.
uint64_t checkpoint_bytes(const std::vector<ParameterInfo>& table, const MemoryPlanOptions& options) {
  const uint64_t at_once =
      options.ranks > 1 ? largest(table)
                        : std::min(largest(table), static_cast<uint64_t>(model::SafetensorsWriter::kPiece));
  return 2 * at_once * runtime::size_of(options.real);
}

/// What a rank has of what the ranks share.
struct OwnedBytes {
  uint64_t moments = 0, sums = 0;
  uint64_t squares = 0;  ///< for the norm of the gradients
};

OwnedBytes owned_bytes(const std::vector<ParameterInfo>& table, const MemoryPlanOptions& options,
                       const std::vector<Ownership>& ownership, int rank) {
  const uint64_t real = runtime::size_of(options.real);
  const auto part = part_of(table, owned_by(ownership, rank)).table;
  OwnedBytes bytes;
  bytes.moments = (elements(part) + elements(second_moments(part, options.optimizer))) * real;
  for (const auto& bucket : ownership) {
    const auto owned = bucket.owned[static_cast<size_t>(rank)];
    if (options.ranks > 1)
      bytes.sums += static_cast<uint64_t>(with_whole_blocks(owned, bucket.bucket).size) * real;
    bytes.squares += static_cast<uint64_t>(blocks_of(owned).size / kBlock) * sizeof(double);
  }
  return bytes;
}

/// Of the rank that has most.
OwnedBytes most_owned_bytes(const std::vector<ParameterInfo>& table, const MemoryPlanOptions& options) {
  const auto ownership = partition(
      table, options.ranks, [&](const ParameterInfo& info) { return is_whole(info, options.optimizer); });
  OwnedBytes most;
  for (int rank = 0; rank < options.ranks; ++rank) {
    const OwnedBytes bytes = owned_bytes(table, options, ownership, rank);
    if (bytes.moments + bytes.sums > most.moments + most.sums) most = bytes;
  }
  return most;
}

}  // namespace

MemoryPlanOptions memory_options(const TrainOptions& options) {
  MemoryPlanOptions plan;
  plan.compute = options.compute;
  if (options.weights == model::WeightStorage::bf16) plan.weights = runtime::DType::bf16;
  plan.recompute = options.recompute;
  plan.optimizer = options.optimizer;
  return plan;
}

uint64_t MemoryPlan::total() const {
  uint64_t sum = 0;
  for (const auto& part : parts) sum += part.bytes;
  return sum;
}

void MemoryPlan::add(const std::string& model, const MemoryPlan& plan) {
  for (const auto& part : plan.parts) {
    const auto same = std::find_if(parts.begin(), parts.end(), [&](const Part& other) {
      return part.is_shared && other.is_shared && other.name == part.name;
    });
    if (same != parts.end()) {
      same->bytes = std::max(same->bytes, part.bytes);
    } else if (part.bytes > 0) {
      parts.push_back({part.is_shared ? part.name : model + ": " + part.name, part.bytes, part.is_shared});
    }
  }
}

MemoryPlan plan_memory(const model::Config& config, const MemoryPlanOptions& options) {
  const auto table = model::parameter_table(config);
  const uint64_t real = runtime::size_of(options.real),
                 parameters = elements(table) * runtime::size_of(options.weights);
  const auto residence =
      options.ranks > 1 && options.zero == 2 ? model::Residence::turns : model::Residence::whole;
  const OwnedBytes owned = most_owned_bytes(table, options);
  MemoryPlan plan;
  plan.parts = {{"parameters", parameters},
                packed_weights(config, table, options),
                {"gradients", static_cast<uint64_t>(model::arena_size(table, residence)) * real},
                {"optimizer state", owned.moments},
                {"activations of one micro-batch", activations(config, options)},
                {"head", head_bytes(config, options, true), true},
                {"a checkpoint while it is written", checkpoint_bytes(table, options), true}};
  if (options.optimizer == OptimizerKind::muon) {
    plan.parts.push_back(
        {"one update of Muon", static_cast<uint64_t>(Muon::bytes(table, options.real)), true});
  }
  if (options.cached_sequences > 0)
    plan.parts.push_back({"cached keys and values", key_value_bytes(config, options)});
  if (options.ranks > 1) plan.parts.push_back({"own part of the summed gradients", owned.sums});
  plan.parts.push_back({"partial sums of the gradients' norm", owned.squares});
  return plan;
}

MemoryPlan plan_frozen(const model::Config& config, const MemoryPlanOptions& options) {
  const auto table = model::parameter_table(config);
  MemoryPlan plan;
  plan.parts = {{"parameters", elements(table) * runtime::size_of(options.weights)},
                packed_weights(config, table, options),
                {"activations of one micro-batch", activations(config, options)},
                {"head", head_bytes(config, options, false), true}};
  return plan;
}

uint64_t memory_limit(runtime::Device& device, uint64_t limit) {
  return limit > 0 ? limit : device.free_memory().value_or(0);
}

void report_memory(const MemoryPlan& plan, uint64_t limit, int processes) {
  const auto available = limit > 0 ? std::optional<uint64_t>(limit) : available_memory();
  const uint64_t needed = plan.total() * static_cast<uint64_t>(processes);
  for (const auto& part : plan.parts) log::info("memory: ", part.name, ": ", format_bytes(part.bytes));
  log::info(
      "memory: sum: ", format_bytes(plan.total()),
      processes > 1 ? str(", ", format_bytes(needed), " for the ", processes, " ranks of this machine,") : "",
      available ? str(" of ", format_bytes(*available)) : std::string());
  if (!available || needed <= *available) return;
  fail(Kind::device,
       processes > 1 ? str("the ", processes, " ranks of this machine need ") : "the run needs ",
       format_bytes(needed), " of memory and ", format_bytes(*available),
       " are available; lower --micro-batch-tokens, use --recompute block or --dtype bf16, or make the model "
       "smaller");
}

}  // namespace gristmill::train

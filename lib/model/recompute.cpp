// The sum follows the allocations of transformer.cpp and block.cpp one by one; a test compares it with them.

#include "model/recompute.hpp"

namespace gristmill::model {
namespace {

using runtime::DType;

/// Adds up blocks of memory as Scratch asks for them.
class Sum {
 public:
  explicit Sum(int64_t tokens) : tokens_(tokens) {}
  /// `count` blocks of tokens × cols.
  void add(DType type, int64_t cols, int64_t count = 1) {
    const auto size = static_cast<int64_t>(runtime::size_of(type));
    bytes_ += count * ((tokens_ * cols * size + 3) / 4 * 4);
  }
  void add_bytes(int64_t bytes) { bytes_ += bytes; }
  int64_t bytes() const { return bytes_; }

 private:
  int64_t tokens_, bytes_ = 0;
};

struct Widths {
  explicit Widths(const Config& config)
      : query(config.heads * config.head_dim),
        key(config.kv_heads * config.head_dim),
        wide(config.family == Family::llama ? 2 * config.hidden_dim : config.hidden_dim),
        statistics(config.family == Family::llama ? 1 : 2) {}
  int64_t query, key, wide, statistics;
  int64_t qkv() const { return query + 2 * key; }
};

/// Activations of `count` layers, their inputs left out.
void add_layers(Sum& sum, const Config& config, const Widths& widths, DType real, DType compute, bool all,
                int64_t count) {
  sum.add(real, widths.statistics, 2 * count);
  sum.add(compute, widths.qkv(), count);
  sum.add(compute, widths.query, count);
  sum.add(real, config.heads, count);
  sum.add(real, config.dim, count);
  sum.add(compute, widths.wide, count);
  if (config.qk_norm) sum.add(real, config.heads + config.kv_heads, count);
  if (!all) return;
  sum.add(compute, config.dim, 2 * count);
  sum.add(compute, config.hidden_dim, count);
  if (config.qk_norm) sum.add(compute, widths.query + widths.key, count);
}

void add_workspace(Sum& sum, const Config& config, const Widths& widths, DType real, DType compute,
                   bool all) {
  if (!all) {
    sum.add(compute, config.dim);
    sum.add(compute, config.hidden_dim);
    if (config.qk_norm) sum.add(compute, widths.query + widths.key);
  }
  sum.add(compute, config.dim);
  sum.add(compute, config.hidden_dim);
  sum.add(compute, widths.wide);
  sum.add(compute, widths.query);
  sum.add(compute, widths.qkv());
  if (config.qk_norm) sum.add_bytes(config.head_dim * static_cast<int64_t>(runtime::size_of(real)));
}

}  // namespace

int64_t activation_bytes(const Config& config, int64_t tokens, DType real, DType compute,
                         Recompute recompute) {
  const Widths widths(config);
  Sum sum(tokens);
  sum.add(DType::i32, 1, 2);                     // ids, positions
  sum.add_bytes((tokens + 1) * 4);               // document starts
  sum.add(real, config.dim, config.layers + 2);  // inputs, residual stream and its norm at the end
  sum.add(real, widths.statistics);              // of the final norm
  const bool all = recompute != Recompute::norms;
  add_layers(sum, config, widths, real, compute, all, recompute == Recompute::block ? 1 : config.layers);
  add_workspace(sum, config, widths, real, compute, all);
  if (config.head == Head::language && config.tied) {
    sum.add_bytes(config.vocab_size * config.dim * static_cast<int64_t>(runtime::size_of(real)));
  }
  return sum.bytes();
}

}  // namespace gristmill::model

// The parameter table of both families, the arena, and initial weights.
//
// Width scaling (µP; Yang et al. 2022, tables 3 and 8) with m = dim / base dim and Adam: hidden matrices
// start at std / √m and learn at rate / m; an untied head starts at std / m and learns at rate / m;
// embeddings, norms and biases stay. A router of experts is scaled as an untied head. A tied head needs its
// logits divided by m. That factor stands in the final norm instead, which starts at 1 / m and learns at rate
// / m: the same function and, for Adam, the same steps, and other programs read the model without knowing of
// it.

#include "model/parameters.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numeric>
#include <span>
#include <utility>

#include "base/error.hpp"
#include "base/rng.hpp"
#include "model/quantized.hpp"
#include "runtime/int8.hpp"

namespace gristmill::model {
namespace {

constexpr int64_t kAlignment = 16;  // elements: 64 bytes of f32
constexpr double kStd = 0.02;

int64_t rounded_up(int64_t value, int64_t unit) { return (value + unit - 1) / unit * unit; }

/// Lays tensors out behind each other.
class TableBuilder {
 public:
  void matrix(std::string name, int64_t rows, int64_t cols, double std) {
    add({std::move(name), {rows, cols}, rows, cols, 0, true, std, false});
  }
  void norm_weight(std::string name, int64_t size) {
    add({std::move(name), {size}, 1, size, 0, false, 0, true});
  }
  void bias(std::string name, int64_t size) { add({std::move(name), {size}, 1, size, 0, false, 0, false}); }
  /// Scales what was added since as hidden matrices, vectors aside.
  void scale_hidden(size_t first, double width) {
    for (size_t i = first; i < table_.size(); ++i) {
      // A router's outputs are as many at any width: it is scaled as a head.
      const bool router = table_[i].name.ends_with("block_sparse_moe.gate.weight");
      if (table_[i].decay) scale(table_[i], 1 / (router ? width : std::sqrt(width)), 1 / width);
    }
  }
  /// Scales all that was added since as what stands between the last layer and the logits.
  void scale_output(size_t first, double width) {
    for (size_t i = first; i < table_.size(); ++i) scale(table_[i], 1 / width, 1 / width);
  }
  /// What is added from here on is another bucket.
  void begin_bucket() {
    next_ = rounded_up(next_, kBucketAlignment);
    ++bucket_;
  }
  size_t size() const { return table_.size(); }
  std::vector<ParameterInfo> take() { return std::move(table_); }

 private:
  static void scale(ParameterInfo& info, double initial, double learning_rate) {
    info.initial_std *= initial;
    info.initial_scale *= initial;
    info.learning_rate_scale *= learning_rate;
  }
  void add(ParameterInfo info) {
    info.offset = next_;
    info.bucket = bucket_;
    next_ += rounded_up(info.size(), kAlignment);
    table_.push_back(std::move(info));
  }
  std::vector<ParameterInfo> table_;
  int64_t next_ = 0, bucket_ = 0;
};

// Residual branches start smaller, so that the variance of the residual stream does not grow with depth
// (Radford et al. 2019, §2.3).
double residual_std(const Config& config) {
  return config.zero_init ? 0 : kStd / std::sqrt(2 * static_cast<double>(config.layers));
}

// All experts are laid out alike, so that they lie at one distance.
void add_experts(TableBuilder& table, const Config& config, const std::string& prefix) {
  table.matrix(prefix + "block_sparse_moe.gate.weight", config.experts, config.dim, kStd);
  for (int64_t e = 0; e < config.experts; ++e) {
    const std::string expert = str(prefix, "block_sparse_moe.experts.", e, ".");
    table.matrix(expert + "w1.weight", config.hidden_dim, config.dim, kStd);
    table.matrix(expert + "w3.weight", config.hidden_dim, config.dim, kStd);
    table.matrix(expert + "w2.weight", config.dim, config.hidden_dim, residual_std(config));
  }
}

// q, k, v stand behind each other, and gate, up: each group is one product wherever no padding lies between
// its weights, or its biases.
void add_llama_layer(TableBuilder& table, const Config& config, int64_t layer) {
  const std::string prefix = str("model.layers.", layer, ".");
  const int64_t q = config.heads * config.head_dim, kv = config.kv_heads * config.head_dim;
  table.norm_weight(prefix + "input_layernorm.weight", config.dim);
  table.matrix(prefix + "self_attn.q_proj.weight", q, config.dim, kStd);
  table.matrix(prefix + "self_attn.k_proj.weight", kv, config.dim, kStd);
  table.matrix(prefix + "self_attn.v_proj.weight", kv, config.dim, kStd);
  if (config.qkv_bias) {
    table.bias(prefix + "self_attn.q_proj.bias", q);
    table.bias(prefix + "self_attn.k_proj.bias", kv);
    table.bias(prefix + "self_attn.v_proj.bias", kv);
  }
  if (config.qk_norm) {
    table.norm_weight(prefix + "self_attn.q_norm.weight", config.head_dim);
    table.norm_weight(prefix + "self_attn.k_norm.weight", config.head_dim);
  }
  table.matrix(prefix + "self_attn.o_proj.weight", config.dim, q, residual_std(config));
  table.norm_weight(prefix + "post_attention_layernorm.weight", config.dim);
  if (config.experts > 0) return add_experts(table, config, prefix);
  table.matrix(prefix + "mlp.gate_proj.weight", config.hidden_dim, config.dim, kStd);
  table.matrix(prefix + "mlp.up_proj.weight", config.hidden_dim, config.dim, kStd);
  table.matrix(prefix + "mlp.down_proj.weight", config.dim, config.hidden_dim, residual_std(config));
}

// Conv1D keeps its weight as in × out.
void add_gpt2_layer(TableBuilder& table, const Config& config, int64_t layer) {
  const std::string prefix = str("transformer.h.", layer, ".");
  const int64_t dim = config.dim, hidden = config.hidden_dim;
  table.norm_weight(prefix + "ln_1.weight", dim);
  table.bias(prefix + "ln_1.bias", dim);
  table.matrix(prefix + "attn.c_attn.weight", dim, 3 * dim, kStd);
  table.bias(prefix + "attn.c_attn.bias", 3 * dim);
  table.matrix(prefix + "attn.c_proj.weight", dim, dim, residual_std(config));
  table.bias(prefix + "attn.c_proj.bias", dim);
  table.norm_weight(prefix + "ln_2.weight", dim);
  table.bias(prefix + "ln_2.bias", dim);
  table.matrix(prefix + "mlp.c_fc.weight", dim, hidden, kStd);
  table.bias(prefix + "mlp.c_fc.bias", hidden);
  table.matrix(prefix + "mlp.c_proj.weight", hidden, dim, residual_std(config));
  table.bias(prefix + "mlp.c_proj.bias", dim);
}

void add_embeddings(TableBuilder& table, const Config& config) {
  if (config.family == Family::llama) {
    table.matrix("model.embed_tokens.weight", config.vocab_size, config.dim, kStd);
  } else {
    table.matrix("transformer.wte.weight", config.vocab_size, config.dim, kStd);
    table.matrix("transformer.wpe.weight", config.context, config.dim, kStd);
  }
}

void add_final_norm(TableBuilder& table, const Config& config) {
  if (config.family == Family::llama) {
    table.norm_weight("model.norm.weight", config.dim);
  } else {
    table.norm_weight("transformer.ln_f.weight", config.dim);
    table.bias("transformer.ln_f.bias", config.dim);
  }
}

void add_head(TableBuilder& table, const Config& config) {
  if (config.head == Head::scalar) {
    // N(0, 1/(dim+1)): Stiennon et al. 2020, appendix; also what rewards and values start from in Ziegler et
    // al. 2019.
    table.matrix("score.weight", 1, config.dim, 1 / std::sqrt(static_cast<double>(config.dim) + 1));
  } else if (!config.tied) {
    table.matrix("lm_head.weight", config.vocab_size, config.dim, kStd);
  }
}

}  // namespace

std::vector<ParameterInfo> parameter_table(const Config& config) {
  config.validate();
  const double width = config.mup_base_dim == 0
                           ? 1
                           : static_cast<double>(config.dim) / static_cast<double>(config.mup_base_dim);
  TableBuilder table;
  add_embeddings(table, config);
  const size_t layers = table.size();
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    table.begin_bucket();
    config.family == Family::llama ? add_llama_layer(table, config, layer)
                                   : add_gpt2_layer(table, config, layer);
  }
  table.scale_hidden(layers, width);
  table.begin_bucket();
  const size_t norm = table.size();
  add_final_norm(table, config);
  if (config.head == Head::language && config.tied) table.scale_output(norm, width);
  const size_t head = table.size();
  add_head(table, config);
  // A score is made for a body that was trained already: it starts as it does at any width.
  if (config.head == Head::language) table.scale_output(head, width);
  return table.take();
}

int64_t Config::parameter_count() const {
  int64_t count = 0;
  for (const auto& info : parameter_table(*this)) count += info.size();
  return count;
}

namespace {

/// Elements of what is held as numbers, without turns.
int64_t whole_size(const std::vector<ParameterInfo>& table) {
  int64_t size = 0;
  for (const auto& info : table) {
    if (info.storage == Storage::real) size = std::max(size, info.offset + info.size());
  }
  return rounded_up(size, kAlignment);
}

/// With turns: where each bucket lies, and the size of all.
struct Layout {
  std::vector<int64_t> first;
  int64_t size = 0;
};

Layout turns_of(const std::vector<Bucket>& buckets) {
  Layout layout;
  layout.first.resize(buckets.size());
  const auto place = [&](size_t begin, size_t end, size_t step) {  // one for all of these
    int64_t most = 0;
    for (size_t b = begin; b < end; b += step) {
      layout.first[b] = layout.size;
      most = std::max(most, buckets[b].size);
    }
    layout.size += most;
  };
  const size_t last = buckets.size() - 1;
  place(0, 1, 1);
  place(1, last, 2);
  place(2, last, 2);
  place(std::max<size_t>(last, 1), last + 1, 1);
  return layout;
}

}  // namespace

std::vector<Bucket> buckets_of(const std::vector<ParameterInfo>& table) {
  std::vector<Bucket> buckets;
  for (const auto& info : table) {
    while (static_cast<int64_t>(buckets.size()) <= info.bucket) buckets.push_back({info.offset, 0});
  }
  for (size_t b = 0; b < buckets.size(); ++b) {
    const int64_t end = b + 1 < buckets.size() ? buckets[b + 1].first : whole_size(table);
    buckets[b].size = end - buckets[b].first;
  }
  return buckets;
}

int64_t arena_size(const std::vector<ParameterInfo>& table, Residence residence) {
  if (residence == Residence::whole || table.empty()) return whole_size(table);
  return turns_of(buckets_of(table)).size;
}

ParameterSet::ParameterSet(runtime::Device& device, std::vector<ParameterInfo> table, Residence residence)
    : ParameterSet(device, std::move(table), residence, device.real()) {}

ParameterSet::ParameterSet(runtime::Device& device, std::vector<ParameterInfo> table, Residence residence,
                           runtime::DType type)
    : device_(&device), table_(std::move(table)), by_name_(table_.size()) {
  std::iota(by_name_.begin(), by_name_.end(), size_t{0});
  std::sort(by_name_.begin(), by_name_.end(),
            [this](size_t a, size_t b) { return table_[a].name < table_[b].name; });
  int64_t bytes = 0;
  for (const auto& info : table_) {
    if (info.storage != Storage::real)
      bytes = std::max(bytes, info.offset + runtime::int8_bytes(info.rows, info.cols));
  }
  arena_ = runtime::Buffer(device, type, 1, arena_size(table_, residence));
  if (bytes > 0) int8_ = runtime::Buffer(device, runtime::DType::i8, 1, bytes);
  if (residence == Residence::whole || table_.empty()) return;
  const auto buckets = buckets_of(table_);
  const Layout layout = turns_of(buckets);
  for (size_t b = 0; b < buckets.size(); ++b) places_.push_back({buckets[b], layout.first[b]});
}

runtime::View ParameterSet::view(size_t index) const {
  const auto& info = table_.at(index);
  if (info.storage != Storage::real) {
    return runtime::int8_matrix(int8_arena(), info.offset, info.rows, info.cols);
  }
  return region(info.offset, info.size()).reshaped(info.rows, info.cols);
}

runtime::View ParameterSet::view(const std::string& name) const {
  if (const auto index = find(name)) return view(*index);
  fail(Kind::internal, "the model has no parameter ", name);
}

std::optional<size_t> ParameterSet::find(const std::string& name) const {
  const auto at = std::lower_bound(
      by_name_.begin(), by_name_.end(), name,
      [this](size_t index, const std::string& wanted) { return table_[index].name < wanted; });
  if (at == by_name_.end() || table_[*at].name != name) return std::nullopt;
  return *at;
}

runtime::View ParameterSet::region(int64_t first, int64_t size) const {
  if (places_.empty()) return all().col_range(first, size);
  const auto behind =
      std::upper_bound(places_.begin(), places_.end(), first,
                       [](int64_t at, const Place& place) { return at < place.bucket.first; });
  const Place& place = *std::prev(behind);
  if (first + size > place.bucket.end()) fail(Kind::internal, "a region beyond its bucket");
  return all().col_range(place.first + first - place.bucket.first, size);
}

runtime::View ParameterSet::all() const { return arena_.view(); }

void initialize(ParameterSet& parameters, uint64_t seed) {
  for (size_t i = 0; i < parameters.size(); ++i) {
    const auto& info = parameters.table()[i];
    std::vector<float> values(static_cast<size_t>(info.size()),
                              info.initial_one ? static_cast<float>(info.initial_scale) : 0.0F);
    if (info.initial_std > 0) {
      Rng rng(seed, stream_of(RandomStream::parameters, i));
      for (auto& value : values) value = static_cast<float>(info.initial_std * rng.normal());
    }
    write_parameter(parameters, i, std::span<const float>(values));
  }
}

}  // namespace gristmill::model

// The limits of a configuration, and what follows from it.

#include "model/config.hpp"

#include <utility>

#include "base/error.hpp"

namespace gristmill::model {
namespace {

constexpr int64_t kMaxExtent = int64_t{1} << 28;
constexpr int64_t kMaxWidth = int64_t{1} << 20;
constexpr int64_t kMaxExperts = 1024;
constexpr int64_t kMaxAllExperts = int64_t{1} << 16;  // a table of all tensors is made before a file is read

/// What goes with what, after the extents were found in range.
void check_family(const Config& config) {
  if (config.heads % config.kv_heads != 0) {
    fail(Kind::usage, "model: heads (", config.heads, ") is not a multiple of kv_heads (", config.kv_heads,
         ")");
  }
  if (config.family == Family::llama && config.head_dim % 2 != 0) {
    fail(Kind::usage, "model: head_dim (", config.head_dim,
         ") must be even for rotary positions; choose dim and heads so");
  }
  if (config.family == Family::gpt2 &&
      (config.heads * config.head_dim != config.dim || config.kv_heads != config.heads)) {
    fail(Kind::usage, "model: dim (", config.dim, ") is not heads × head_dim (", config.heads, " × ",
         config.head_dim, "), as GPT-2 needs");
  }
  if (config.family == Family::gpt2 && (config.qkv_bias || config.qk_norm)) {
    fail(Kind::usage, "model: ", config.qk_norm ? "qk_norm" : "qkv_bias",
         " is of the Llama family, not of GPT-2's");
  }
  if (config.experts > 0 && (config.family == Family::gpt2 || config.qkv_bias || config.qk_norm)) {
    fail(Kind::usage, "model: experts with ",
         config.family == Family::gpt2 ? "GPT-2"
         : config.qk_norm              ? "qk_norm"
                                       : "qkv_bias",
         " are not supported, only as in Mixtral");
  }
  if (config.qkv_bias && config.qk_norm) {
    fail(Kind::usage, "model: qkv_bias and qk_norm together: no known architecture has both");
  }
  if (!(config.norm_epsilon > 0) || !(config.rope_theta > 0))
    fail(Kind::usage, "model: norm_epsilon and rope_theta must be above 0");
}

void check_experts(const Config& config) {
  if (config.experts < 0 || config.experts > kMaxExperts)
    fail(Kind::usage, "model: experts = ", config.experts, " is not between 0 (none) and ", kMaxExperts);
  if (config.experts == 0) return;
  if (config.layers * config.experts > kMaxAllExperts) {
    fail(Kind::usage, "model: layers × experts (", config.layers, " × ", config.experts,
         ") is more than 2^16");
  }
  if (config.experts_per_token < 1 || config.experts_per_token > config.experts) {
    fail(Kind::usage, "model: experts_per_token = ", config.experts_per_token, " is not between 1 and the ",
         config.experts, " experts");
  }
  if (!(config.router_balance >= 0) || config.router_balance > 1e6)
    fail(Kind::usage, "model: router_balance = ", config.router_balance, " is out of range");
}

}  // namespace

void Config::validate() const {
  const std::pair<const char*, int64_t> extents[] = {
      {"vocab_size", vocab_size}, {"dim", dim},           {"layers", layers},         {"heads", heads},
      {"kv_heads", kv_heads},     {"head_dim", head_dim}, {"hidden_dim", hidden_dim}, {"context", context}};
  for (const auto& [field, value] : extents) {
    if (value < 1 || value > kMaxExtent)
      fail(Kind::usage, "model: ", field, " = ", value, " is out of range");
  }
  const std::pair<const char*, int64_t> widths[] = {
      {"dim", dim}, {"hidden_dim", hidden_dim}, {"heads", heads}, {"head_dim", head_dim}};
  for (const auto& [field, value] : widths) {
    if (value > kMaxWidth) fail(Kind::usage, "model: ", field, " = ", value, " is more than 2^20");
  }
  if (heads * head_dim > kMaxWidth) {
    fail(Kind::usage, "model: heads × head_dim (", heads, " × ", head_dim, ") is more than 2^20");
  }
  if (mup_base_dim < 0 || mup_base_dim > kMaxWidth) {
    fail(Kind::usage, "model: mup_base_dim = ", mup_base_dim, " is out of range");
  }
  if (layers > 4096) fail(Kind::usage, "model: layers = ", layers, " is more than 4096");
  check_experts(*this);
  const auto wide = [](int64_t value) { return static_cast<double>(value); };
  const double networks = experts > 0 ? wide(experts) : 1;
  const double layer_size =
      wide(dim) * (2 * wide(heads + kv_heads) * wide(head_dim) + 3 * networks * wide(hidden_dim));
  if (wide(layers) * layer_size + wide(dim) * (2 * wide(vocab_size) + wide(context)) > 0x1p42) {
    fail(Kind::usage, "model: more than 2^42 parameters");
  }
  check_family(*this);
}

int64_t Config::active_parameter_count() const {
  const int64_t idle = experts > 0 ? experts - experts_per_token : 0;
  return parameter_count() - layers * idle * 3 * dim * hidden_dim;
}

double Config::flops_per_token() const {
  const auto width = static_cast<double>(heads * head_dim);
  return 6 * static_cast<double>(active_parameter_count()) +
         12 * static_cast<double>(layers) * width * static_cast<double>(context);
}

}  // namespace gristmill::model

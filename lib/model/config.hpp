#pragma once

// The shape of a transformer: what config.json of a Hugging Face model directory says, for the Llama family
// (Llama, Mistral, Qwen2, Qwen3, Mixtral) and GPT-2.

#include <cstdint>
#include <string>

#include "base/json.hpp"

namespace gristmill::model {

enum class Family {
  llama,  ///< RMSNorm, rotary positions, SwiGLU, grouped-query attention (Touvron et al. 2023)
  gpt2,   ///< LayerNorm, learned positions, GELU, biases (Radford et al. 2019)
};

/// What stands on top of the final norm.
enum class Head {
  language,  ///< logits over the vocabulary
  scalar,    ///< one number a position: reward and value models (LlamaForSequenceClassification, one label)
};

struct Config {
  Family family = Family::llama;
  Head head = Head::language;
  int64_t vocab_size = 4096;
  int64_t dim = 256;
  int64_t layers = 6;
  int64_t heads = 8;
  int64_t kv_heads = 4;
  int64_t head_dim = 32;
  int64_t hidden_dim = 768;  ///< width of the feed-forward layer, of each expert where there are any
  int64_t context = 256;
  double norm_epsilon = 1e-5;
  double rope_theta = 10000;
  bool tied = true;  ///< the head shares the embedding's weights
  /// Llama family: q, k and v have biases (Qwen2).
  bool qkv_bias = false;
  /// Llama family: RMSNorm of each head's q and k before the rotary embedding (Henry et al. 2020; Qwen3).
  bool qk_norm = false;
  /// Llama family: the feed-forward layer is a mixture of so many experts (Mixtral); 0 = one dense layer.
  int64_t experts = 0;
  int64_t experts_per_token = 2;  ///< experts that work on a token
  /// With experts, training only: weight of the loss that spreads tokens over them (see Transformer).
  double router_balance = 0.001;
  /// Initial weights only: the two maps of each layer that write to the residual stream start at 0, so that
  /// every layer starts as the identity (Zhang et al. 2019).
  bool zero_init = false;
  /// Width scaling (µP, Yang et al. 2022, table 8 in its form for Adam): initial weights and learning rates
  /// are those that a model of this width would have, scaled so that the best learning rate stays where it
  /// was found there. Keep head_dim and the ratios of the other widths to dim. 0 = off. The forward pass does
  /// not change.
  int64_t mup_base_dim = 0;
  uint32_t bos_token = 0, eos_token = 0, pad_token = 0;

  /// Error{usage} that names the field when the numbers do not fit together.
  void validate() const;
  int64_t parameter_count() const;
  /// Parameters that work on a token: all but the experts that it is not sent to.
  int64_t active_parameter_count() const;
  /// Training FLOPs a token: 6 · active parameters + 12 · layers · dim · context.
  double flops_per_token() const;

  /// config.json of Hugging Face; unsupported architectures and features are Error{input} naming what is not
  /// supported.
  static Config from_json(const Json& json, const std::string& where);
  Json to_json() const;
  friend bool operator==(const Config&, const Config&) = default;
};

}  // namespace gristmill::model

#pragma once

// QK-norm: RMSNorm of each head's query and key before they turn, with one weight for all query heads of a
// layer and one for all key heads (Henry et al. 2020, in Qwen3's form). Scores cannot grow with the weights
// of q and k, which lets training take larger steps.

#include <cstdint>
#include <string>

#include "model/linear.hpp"

namespace gristmill::model {

class HeadNorm {
 public:
  /// Weights prefix + "q_norm.weight" and "k_norm.weight".
  HeadNorm(const ParameterSet& parameters, const std::string& prefix, const Config& config);

  /// out[T, q|k] from in[T, q|k]; statistics[heads + kv_heads, T] is what backward() needs.
  void forward(runtime::Backend& backend, const Weights& weights, runtime::View out, runtime::View statistics,
               runtime::ConstView in) const;
  /// dqk[T, q|k]: the gradient of forward()'s output comes in, that of its input goes out. `sum` is scratch
  /// of 1 × head_dim: each weight's gradient is finished there over all heads before it is added.
  void backward(runtime::Backend& backend, const Weights& weights, runtime::View dqk, runtime::View sum,
                runtime::ConstView in, runtime::ConstView statistics) const;

 private:
  size_t weight_of(int64_t head) const { return head < heads_ ? query_weight_ : key_weight_; }

  size_t query_weight_, key_weight_;
  int64_t heads_, kv_heads_, head_dim_;
  double epsilon_;
};

}  // namespace gristmill::model

#include "model/head_norm.hpp"

namespace gristmill::model {

using runtime::Backend;
using runtime::ConstView;
using runtime::View;

HeadNorm::HeadNorm(const ParameterSet& parameters, const std::string& prefix, const Config& config)
    : query_weight_(parameter_index(parameters, prefix + "q_norm.weight")),
      key_weight_(parameter_index(parameters, prefix + "k_norm.weight")),
      heads_(config.heads),
      kv_heads_(config.kv_heads),
      head_dim_(config.head_dim),
      epsilon_(config.norm_epsilon) {}

// A head is a range of columns, so that each is a call of its own; nothing is copied.
void HeadNorm::forward(Backend& backend, const Weights& weights, View out, View statistics,
                       ConstView in) const {
  for (int64_t head = 0; head < heads_ + kv_heads_; ++head) {
    const int64_t column = head * head_dim_;
    backend.rmsnorm(out.col_range(column, head_dim_), statistics.row_range(head, 1).reshaped(in.rows, 1),
                    in.col_range(column, head_dim_), weights.parameters.view(weight_of(head)), epsilon_);
  }
}

void HeadNorm::backward(Backend& backend, const Weights& weights, View dqk, View sum, ConstView in,
                        ConstView statistics) const {
  for (int64_t head = 0; head < heads_ + kv_heads_; ++head) {
    if (head == 0 || head == heads_) backend.fill(sum, 0);
    const View part = dqk.col_range(head * head_dim_, head_dim_);
    backend.rmsnorm_backward(part, false, sum, part, in.col_range(head * head_dim_, head_dim_),
                             weights.parameters.view(weight_of(head)),
                             statistics.row_range(head, 1).reshaped(in.rows, 1));
    if (head + 1 == heads_ || head + 1 == heads_ + kv_heads_) {
      backend.axpy(weights.gradients->view(weight_of(head)), 1, sum);
    }
  }
}

}  // namespace gristmill::model

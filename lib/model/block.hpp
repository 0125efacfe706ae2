#pragma once

// One transformer layer, both families: x += attention(norm(x)); x += mlp(norm(x)), where the second half may
// be a mixture of experts. Kept for the backward
// pass: the residual stream before each half, the norms' statistics, q|k|v, the attention's output and
// logsumexp, and the wide layer before its activation. The norms' outputs and the activation's are kept too
// where there is memory for them, else computed anew there (recompute.hpp).

#include <cstdint>
#include <optional>

#include "model/config.hpp"
#include "model/experts.hpp"
#include "model/head_norm.hpp"
#include "model/linear.hpp"
#include "model/recompute.hpp"
#include "runtime/backend.hpp"
#include "runtime/device.hpp"

namespace gristmill::model {

/// The rows of a forward pass on the device.
struct Rows {
  int64_t count = 0;
  runtime::View ids, positions;          ///< count × 1
  runtime::View document_starts;         ///< packed batches
  runtime::View sequence, slot, length;  ///< cached rows: sequence, row of the cache to store to, rows to see
};

/// What a layer keeps of one forward pass, its input aside.
struct Activations {
  explicit Activations(runtime::Device& device);
  runtime::Scratch statistics1;      ///< T × 1 or 2
  runtime::Scratch qkv;              ///< T × (heads + 2·kv_heads)·head_dim; q and k turned unless normed
  runtime::Scratch head_statistics;  ///< (heads + kv_heads) × T, with QK-norm
  runtime::Scratch attention;        ///< T × heads·head_dim
  runtime::Scratch lse;              ///< T × heads
  runtime::Scratch middle;           ///< T × dim
  runtime::Scratch statistics2;      ///< T × 1 or 2
  runtime::Scratch wide;             ///< T × hidden_dim, or gate | up; with experts in `experts`
  // Only when nothing is to be computed anew; else in the workspace:
  runtime::Scratch normed1, normed2;  ///< T × dim
  runtime::Scratch qk;                ///< T × (heads + kv_heads)·head_dim, normed and turned, with QK-norm
  runtime::Scratch activated;         ///< T × hidden_dim
  ExpertActivations experts;
};

/// Memory that all layers share.
struct Workspace {
  explicit Workspace(runtime::Device& device);
  runtime::Scratch normed;      ///< T × dim
  runtime::Scratch qk;          ///< as in Activations
  runtime::Scratch activated;   ///< T × hidden_dim
  runtime::Scratch dnormed;     ///< T × dim
  runtime::Scratch dactivated;  ///< T × hidden_dim
  runtime::Scratch dwide;       ///< as wide
  runtime::Scratch dattention;  ///< T × heads·head_dim
  runtime::Scratch dqkv;        ///< as qkv
  runtime::Scratch dhead;       ///< 1 × head_dim: the gradient of a weight of QK-norm
  ExpertWorkspace experts;
};

/// Where and with what a layer runs.
struct Run {
  runtime::Device& device;
  Weights weights;
  Workspace& work;
  runtime::ConstView inverse_frequency;  ///< rotary: 1 × head_dim/2; absent otherwise
  bool keep_all = false;                 ///< norms' outputs and the activation's go to Activations
  RouterCounts counts = {};              ///< of this layer, forward
  runtime::RouterGradients losses = {};  ///< backward
};

class Block {
 public:
  Block(const ParameterSet& parameters, const Config& config, int64_t layer);

  /// out[T,dim] from input[T,dim], another place. Without `out` only what backward() needs is computed.
  void forward(const Run& run, const Rows& rows, runtime::ConstView input, Activations& kept,
               runtime::View out) const;
  /// The same for new rows over a cache's keys and values, which are stored first.
  void forward_cached(const Run& run, const Rows& rows, runtime::ConstView input, Activations& kept,
                      runtime::View out, runtime::View cache_keys, runtime::View cache_values,
                      int64_t capacity) const;
  /// dx[T,dim]: the gradient of the output comes in, that of the input goes out. `run` keeps as forward()'s
  /// did.
  void backward(const Run& run, const Rows& rows, runtime::ConstView input, Activations& kept,
                runtime::View dx) const;

 private:
  /// Columns of q|k|v.
  int64_t query_width() const { return shape_.heads * shape_.head_dim; }
  int64_t key_width() const { return shape_.kv_heads * shape_.head_dim; }
  int64_t qkv_width() const { return query_width() + 2 * key_width(); }
  int64_t wide_width() const { return gated_ ? 2 * hidden_dim_ : hidden_dim_; }
  // Views of what is kept, or of the workspace.
  runtime::View normed(const Run& run, const Rows& rows, runtime::Scratch& kept) const;
  runtime::View activated(const Run& run, const Rows& rows, Activations& kept) const;
  runtime::View qkv(const Run& run, const Rows& rows, Activations& kept) const;
  runtime::View queries_and_keys(const Run& run, const Rows& rows, Activations& kept) const;

  void project(const Run& run, const Rows& rows, runtime::ConstView input, Activations& kept) const;
  void norm_heads(const Run& run, const Rows& rows, Activations& kept) const;
  void rotate(const Run& run, const Rows& rows, runtime::View qk, bool inverse) const;
  void finish(const Run& run, const Rows& rows, runtime::ConstView input, Activations& kept,
              runtime::View out) const;
  void forward_dense(const Run& run, const Rows& rows, Activations& kept, runtime::View out,
                     runtime::ConstView norm, runtime::ConstView middle) const;
  void backward_dense(const Run& run, const Rows& rows, Activations& kept, runtime::View dnormed,
                      runtime::ConstView dout, runtime::ConstView norm) const;
  ExpertRun expert_run(const Run& run, const Rows& rows, Activations& kept) const;
  void backward_mlp(const Run& run, const Rows& rows, Activations& kept, runtime::View dx) const;
  void backward_attention(const Run& run, const Rows& rows, runtime::ConstView input, Activations& kept,
                          runtime::View dx) const;

  runtime::AttentionShape shape_;
  int64_t dim_, hidden_dim_;
  bool gated_;
  Norm norm1_, norm2_;
  std::optional<HeadNorm> head_norm_;
  Linear qkv_, out_;
  std::optional<Linear> wide_, down_;  ///< or experts_
  std::optional<Experts> experts_;
};

}  // namespace gristmill::model

#pragma once

// One transformer layer, both families: x += attention(norm(x)); x += mlp(norm(x)). Kept for the backward
// pass: the residual stream before each half, the norms' statistics, q|k|v, the attention's output and
// logsumexp, and the wide layer before its activation. The norms' outputs and the activation's are computed
// anew there (cheap, and 2·dim + hidden_dim numbers a token less to keep).

#include <cstdint>

#include "model/config.hpp"
#include "model/linear.hpp"
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

/// What a layer keeps of one forward pass.
struct Activations {
  explicit Activations(runtime::Device& device);
  runtime::Scratch input;        ///< T × dim
  runtime::Scratch statistics1;  ///< T × 1 or 2
  runtime::Scratch qkv;          ///< T × (heads + 2·kv_heads)·head_dim, rotated
  runtime::Scratch attention;    ///< T × heads·head_dim
  runtime::Scratch lse;          ///< T × heads
  runtime::Scratch middle;       ///< T × dim
  runtime::Scratch statistics2;  ///< T × 1 or 2
  runtime::Scratch wide;         ///< T × hidden_dim, or gate | up
};

/// Memory that all layers share.
struct Workspace {
  explicit Workspace(runtime::Device& device);
  runtime::Scratch normed;      ///< T × dim
  runtime::Scratch activated;   ///< T × hidden_dim
  runtime::Scratch dnormed;     ///< T × dim
  runtime::Scratch dactivated;  ///< T × hidden_dim
  runtime::Scratch dwide;       ///< as wide
  runtime::Scratch dattention;  ///< T × heads·head_dim
  runtime::Scratch dqkv;        ///< as qkv
};

/// Where and with what a layer runs.
struct Run {
  runtime::Device& device;
  Weights weights;
  Workspace& work;
  runtime::ConstView inverse_frequency;  ///< rotary: 1 × head_dim/2; absent otherwise
};

class Block {
 public:
  Block(const ParameterSet& parameters, const Config& config, int64_t layer);

  /// out[T,dim] from kept.input; out may not be kept.input.
  void forward(const Run& run, const Rows& rows, Activations& kept, runtime::View out) const;
  /// The same for new rows over a cache's keys and values, which are stored first.
  void forward_cached(const Run& run, const Rows& rows, Activations& kept, runtime::View out,
                      runtime::View cache_keys, runtime::View cache_values, int64_t capacity) const;
  /// dx[T,dim]: the gradient of the output comes in, that of the input goes out.
  void backward(const Run& run, const Rows& rows, Activations& kept, runtime::View dx) const;

 private:
  /// Columns of q|k|v.
  int64_t query_width() const { return shape_.heads * shape_.head_dim; }
  int64_t key_width() const { return shape_.kv_heads * shape_.head_dim; }
  int64_t qkv_width() const { return query_width() + 2 * key_width(); }
  int64_t wide_width() const { return gated_ ? 2 * hidden_dim_ : hidden_dim_; }
  void project(const Run& run, const Rows& rows, Activations& kept) const;
  void rotate(const Run& run, const Rows& rows, runtime::View qkv, bool inverse) const;
  void activate(const Run& run, runtime::View out, runtime::ConstView wide) const;
  void finish(const Run& run, const Rows& rows, Activations& kept, runtime::View out) const;
  void backward_mlp(const Run& run, const Rows& rows, Activations& kept, runtime::View dx) const;
  void backward_attention(const Run& run, const Rows& rows, Activations& kept, runtime::View dx) const;

  runtime::AttentionShape shape_;
  int64_t dim_, hidden_dim_;
  bool gated_;
  Norm norm1_, norm2_;
  Linear qkv_, out_, wide_, down_;
};

}  // namespace gristmill::model

#pragma once

// The transformer: forward and backward written by hand over the Backend seam. One object serves training
// (packed documents, activations kept), scoring and, with a KvCache, generation.

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "model/config.hpp"
#include "model/parameters.hpp"
#include "model/quantized.hpp"
#include "model/recompute.hpp"
#include "model/router.hpp"
#include "runtime/backend.hpp"
#include "runtime/device.hpp"

namespace gristmill::model {

/// Packed documents: T ids behind each other. Attention and positions never cross a document boundary.
struct Batch {
  std::vector<int32_t> ids;              ///< T
  std::vector<int32_t> document_starts;  ///< D + 1: first 0, last T, strictly ascending

  /// Appends one document.
  void add(std::span<const uint32_t> document);
  int64_t tokens() const { return static_cast<int64_t>(ids.size()); }
};

/// Keys and values of the sequences being generated, of all layers in one memory, which is large enough for
/// huge pages: attention reads a row here and a row there.
class KvCache {
 public:
  /// Room for `sequences` × `capacity` positions in every layer.
  KvCache(runtime::Device& device, const Config& config, int64_t sequences, int64_t capacity);
  int64_t sequences() const { return sequences_; }
  int64_t capacity() const { return capacity_; }
  runtime::View keys(int64_t layer) const;  ///< (sequences·capacity) × kv_heads·head_dim
  runtime::View values(int64_t layer) const;

 private:
  int64_t sequences_, capacity_;
  runtime::Buffer memory_;  ///< keys of layer 0, values of layer 0, keys of layer 1, …
};

/// New rows for a cached forward: row r is token ids[r] of sequence[r] at position[r] (= its number of
/// earlier tokens).
struct CachedRows {
  std::vector<int32_t> ids, sequence, position;
};

class Transformer {
 public:
  /// Weights are zero until initialize() or load_weights(). With int8 there are no gradients (Error{usage}).
  Transformer(runtime::Device& device, const Config& config, WeightStorage storage = WeightStorage::real);
  ~Transformer();
  Transformer(Transformer&&) noexcept;

  const Config& config() const;
  runtime::Device& device() const;
  ParameterSet& parameters();
  const ParameterSet& parameters() const;
  /// Gradients, made (zero) on first use. They accumulate over micro-batches until zero_gradients().
  ParameterSet& gradients();
  void zero_gradients();
  /// Before their first use: which of them are in memory. Those of whole buckets at all times is what a model
  /// starts with.
  void set_gradient_residence(Residence residence);

  /// What forward(keep = true) keeps from now on; Recompute::norms at first. Gradients are the same bits at
  /// every level. Activations that were kept are dropped, and what reserve() allocated.
  void set_recompute(Recompute recompute);
  Recompute recompute() const;
  /// Allocates in one piece what passes of up to so many tokens take (activation_bytes()). Without it, and
  /// for longer ones, memory grows on demand.
  void reserve(const PassExtent& extent);

  /// Runs the batch and returns the final norm's output, T × dim, valid until the next forward. With `keep`
  /// the activations for backward() are kept.
  runtime::View forward(const Batch& batch, bool keep = true);
  /// Told the number of each bucket (parameter_table()) whose gradients a backward() is done with, from the
  /// last to the first.
  using Finished = std::function<void(int64_t bucket)>;
  /// Back through the last forward(keep = true); adds to gradients(). dhidden is T × dim and is overwritten.
  /// With experts the gradients of `losses` join. With gradients that take turns, `finished` must see to it
  /// that the place of bucket b - 1 is free, and zero, when it returns from b.
  void backward(runtime::View dhidden, const RouterLosses& losses = {}, const Finished& finished = {});
  /// With experts: what their routers did in the last forward(keep = true).
  RouterFigures router_figures();

  /// The language head on rows of hidden states: values of each row's target; see Backend::head.
  void head(const runtime::HeadValues& values, runtime::ConstView hidden, runtime::ConstView targets,
            double logit_scale = 1);
  /// dhidden is overwritten; the head's weight gradient is finished here and added to gradients() together
  /// with the embedding's in backward() when tied, so that each is added once a micro-batch.
  void head_backward(runtime::View dhidden, const runtime::HeadValues& values, runtime::ConstView hidden,
                     runtime::ConstView targets, const runtime::HeadGradients& gradients,
                     double logit_scale = 1);

  /// The scalar head: values[R,1] = hidden[R,C] · score.weightᵀ, and its backward (dhidden overwritten).
  void scalar_head(runtime::View values, runtime::ConstView hidden);
  void scalar_head_backward(runtime::View dhidden, runtime::ConstView dvalues, runtime::ConstView hidden);

  /// Inference: stores the rows' keys and values in the cache and returns their hidden states (R × dim),
  /// valid until the next call.
  runtime::View forward_cached(KvCache& cache, const CachedRows& rows);
  /// The same in two halves: what comes from the host, and the work, which depends on the number of rows and
  /// the cache alone and can be recorded (Device::record).
  void place_cached(const KvCache& cache, const CachedRows& rows);
  runtime::View run_cached(KvCache& cache);
  /// logits[R,V] of hidden rows.
  void logits(runtime::View logits, runtime::ConstView hidden);

 private:
  struct State;
  void embedding_backward(runtime::ConstView dhidden);
  std::unique_ptr<State> state_;
};

}  // namespace gristmill::model

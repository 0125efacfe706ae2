#pragma once

// The GPU's Backend: f32 or mixed with bf16. A method checks its views and enqueues kernels; nothing here
// waits. Each .cpp holds the host's half of the .cu of the same name.
//
// Sums have an order that depends on shapes alone: partial sums of fixed runs of rows or columns, added up in
// order; no atomics on floats. What is added to is added to once, when the sum is finished.

#include <cstdint>

#include "cuda/arguments.hpp"
#include "cuda/gpu.hpp"
#include "cuda/head_arguments.hpp"
#include "cuda/kept_weights.hpp"
#include "cuda/library_products.hpp"
#include "cuda/product_arguments.hpp"
#include "runtime/backend.hpp"
#include "runtime/checks.hpp"

namespace gristmill::runtime::cuda {

/// Views as kernels take them.
ConstRows rows_of(const ConstView& view);
Rows rows_of(const View& view);
Indices indices_of(const ConstView& view);

/// Whole blocks of `block` that cover `size`.
constexpr int64_t blocks_for(int64_t size, int64_t block) { return (size + block - 1) / block; }

class CudaBackend final : public Backend {
 public:
  /// `cublas` may be null: then our own kernels make all products.
  CudaBackend(Gpu& gpu, DType compute, const Cublas* cublas = nullptr, const LibraryOptions& library = {})
      : gpu_(gpu), types_(DType::f32, compute), library_(gpu, cublas, compute, library) {}

  /// Something that is no method writes to these bytes: what was kept of them is outdated.
  void written(const void* memory, size_t bytes) { kept_.written(memory, bytes); }
  /// The memory of these bytes is given back.
  void forget(const void* memory, size_t bytes) { kept_.forget(memory, bytes); }
  /// Bytes of weights that are kept in the compute type.
  int64_t kept_bytes() const { return kept_.bytes(); }
  bool give_up_kept() { return kept_.give_up(); }
  /// Makes all kept copies anew that are outdated: before work is replayed that was recorded when they were
  /// fresh.
  void refresh_kept();

  void fill(View out, double value) override;
  void copy(View out, ConstView in) override;
  void axpy(View out, double scale, ConstView in) override;
  void gather_rows(View out, ConstView in, ConstView rows) override;
  void scatter_rows(View out, ConstView in, ConstView rows) override;
  void sum_rows(View out, ConstView in) override;
  void sum_of_squares(View out, ConstView in) override;
  void matmul(const Matmul& args) override;
  void quantize(View out, ConstView weight, bool transposed) override;
  void embedding(View out, ConstView table, ConstView ids, bool accumulate) override;
  void embedding_backward(View dtable, ConstView dout, ConstView ids) override;
  void rmsnorm(View out, View rstd, ConstView in, ConstView weight, double eps) override;
  void rmsnorm_backward(View din, bool accumulate_din, View dweight, ConstView dout, ConstView in,
                        ConstView weight, ConstView rstd) override;
  void layernorm(View out, View moments, ConstView in, ConstView weight, ConstView bias, double eps) override;
  void layernorm_backward(View din, bool accumulate_din, View dweight, View dbias, ConstView dout,
                          ConstView in, ConstView weight, ConstView moments) override;
  void rotary(View x, ConstView positions, ConstView inverse_frequency, int64_t heads, int64_t head_dim,
              bool inverse) override;
  void attention(View out, View lse, ConstView q, ConstView k, ConstView v, ConstView document_starts,
                 const AttentionShape& shape) override;
  void attention_backward(View dq, View dk, View dv, ConstView dout, ConstView q, ConstView k, ConstView v,
                          ConstView out, ConstView lse, ConstView document_starts,
                          const AttentionShape& shape) override;
  void cached_attention(View out, ConstView q, ConstView cache_k, ConstView cache_v, ConstView sequence,
                        ConstView length, int64_t capacity, const AttentionShape& shape) override;
  void swiglu(View out, ConstView gate_up) override;
  void swiglu_backward(View dgate_up, ConstView dout, ConstView gate_up) override;
  void gelu(View out, ConstView in) override;
  void gelu_backward(View din, ConstView dout, ConstView in) override;
  void route(const Routing& out, ConstView logits) override;
  void route_backward(View dlogits, ConstView dweights, const Routing& routing,
                      const RouterGradients& gradients) override;
  void grouped_matmul(const GroupedMatmul& args) override;
  void grouped_matmul_gradient(View dweight, int64_t expert_stride, ConstView dout, ConstView a,
                               ConstView offsets) override;
  void combine_rows(View out, ConstView in, ConstView weights, ConstView places, ConstView residual) override;
  void combine_rows_backward(View din, View dweights, ConstView dout, ConstView in, ConstView weights,
                             ConstView places) override;
  void head(const HeadValues& values, ConstView hidden, ConstView weight, ConstView targets,
            double logit_scale) override;
  void head_backward(View dhidden, bool accumulate_dweight, View dweight, const HeadValues& values,
                     ConstView hidden, ConstView weight, ConstView targets, const HeadGradients& gradients,
                     double logit_scale) override;
  void adamw(View parameter, View m, View v, ConstView gradient, const AdamW& args) override;
  void sample(View ids, View log_prob, ConstView logits, ConstView uniforms, const Sampling& args) override;

 private:
  /// out[1,C] += the sum of `count` rows of partial sums that lie `pitch` apart, in order.
  void add_partials(View out, const float* partial, int64_t count, int64_t pitch);
  /// The gradient of a norm; without dbias that of RMSNorm.
  void norm_backward(const char* kernel, View din, bool accumulate_din, View dweight, View dbias,
                     ConstView dout, ConstView in, ConstView weight, ConstView moments);
  /// Keys of [0, limit) in rising order, and where each came from; of equal keys the first comes first. Holds
  /// until the next call.
  struct Sorted {
    const int32_t *keys, *order;
  };
  Sorted sorted(Indices keys, int64_t limit);
  /// The head's weight as products take it: rounded and copied once where several follow.
  ConstView head_weight(ConstView weight);
  /// The product of head() for rows [first, first + rows), and what kernels make of it.
  HeadChunk head_logits(const HeadValues& values, ConstView hidden, ConstView weight, ConstView targets,
                        double logit_scale, int64_t first, int64_t rows);
  /// embedding() of a table in int8.
  void int8_embedding(View out, ConstView table, ConstView ids, bool accumulate);
  /// `count` matrices, *stride elements apart, as tile kernels take them: where they are, or copied, which
  /// sets *stride. Only one: stride may be null.
  Operand operand(const ConstView& view, Workspace& scratch, int64_t count, int64_t* stride);
  /// Copies `count` matrices like `from`; their distances in elements.
  void copy_matrices(View to, int64_t to_apart, ConstView from, int64_t from_apart, int64_t count);
  /// A weight, or its fresh copy in the compute type.
  ConstView kept(const ConstView& weight);
  /// The fresh copy of several; null where none is worth it or has room.
  const KeptWeights::Copy* kept_copy(const KeptWeights::Weight& weight);
  void refresh(const KeptWeights::Weight& weight, KeptWeights::Copy& copy);
  /// Views that were written to.
  template <class... Views>
  void written(const View& first, const Views&... others) {
    written(first);
    (written(others), ...);
  }
  void written(const View& out);
  /// A vector (1 × n) in f32: as it is, or widened into `scratch`.
  ConstView as_floats(const ConstView& vector, Workspace& scratch);
  /// A product whose args fit, without its activation: whether the library makes it.
  bool library_product(const Matmul& args);
  /// The same with our own kernels: whether they made the activation too.
  bool own_product(const Matmul& args);
  void few_row_product(const Matmul& args, const ProductOutput& to);
  void tile_product(const Matmul& args, const ProductOutput& to);
  void int8_product(const Matmul& args, const ProductOutput& to);

  Gpu& gpu_;
  const checks::Types types_;
  Workspace left_{gpu_}, right_{gpu_}, digits_{gpu_}, bias_{gpu_};  // operands that had to be copied
  Workspace sums_{gpu_}, keys_{gpu_};
  Workspace attention_{gpu_};
  Workspace choices_{gpu_};
  Workspace logits_{gpu_}, head_weight_{gpu_}, head_sums_{gpu_};
  KeptWeights kept_{gpu_};
  LibraryProducts library_;
};

}  // namespace gristmill::runtime::cuda

#pragma once

// The seam to the hardware: one method for each fused kernel that a transformer needs. Every method enqueues
// on the device's stream; views are non-owning. T is the number of packed token rows, C the model width, V
// the vocabulary, R a number of rows.
//
// Contract of all methods: views have the device's real() type, index views are i32. Where the text says
// "compute", a view may have the device's compute() type instead, each view of a call for itself; a product
// rounds operands that are real to compute(), all other arithmetic is real. Shapes and types that do not fit
// are Error{internal}. Sums have a fixed order, so that results do not depend on the number of
// threads. "Adds to" means: the sum of this call is finished first and then added once, so that accumulating
// micro-batches in order gives the same bits wherever they are computed. Where the text says "or i8", a
// weight may be one that quantize() made; a product with it rounds the other operand row by row to 16 bits of
// the row's largest value.

#include <cstdint>

#include "runtime/tensor.hpp"

namespace gristmill::runtime {

/// What a product writes beside its result.
enum class Activation { none, gelu, swiglu };

/// out[M,N] = a[M,K] · b[K,N] (+ bias[1,N]) (+ residual[M,N]), or out += the product with `accumulate`.
/// a, b, bias and out: compute.
struct Matmul {
  View out;
  ConstView a;
  bool transpose_a = false;  ///< a is stored K × M
  ConstView b;               ///< or i8: then with transpose_b, without transpose_a
  bool transpose_b = false;  ///< b is stored N × K, as Hugging Face's Linear weights are
  bool accumulate = false;
  /// b is a weight: its packed form may be kept until something writes to its memory through the device or
  /// the backend.
  bool keep_b = false;
  ConstView bias;      ///< optional
  ConstView residual;  ///< optional; may be `out` itself
  /// With an activation: what gelu() (M × N) or swiglu() (M × N/2) would make of `out`, bit for bit. Compute;
  /// not with accumulate.
  View activated = {};
  Activation activation = Activation::none;
};

/// Grouped-query attention: `heads` query heads share `kv_heads` key and value heads (heads % kv_heads == 0).
struct AttentionShape {
  int64_t heads = 1, kv_heads = 1, head_dim = 1;
  double scale = 1;  ///< of the scores, usually head_dim^-1/2
};

/// What the language-model head says of each row's target; each view R × 1, absent = not wanted.
struct HeadValues {
  View log_prob;  ///< log p(target)
  View lse;       ///< logsumexp of the (scaled) logits
  View entropy;   ///< of the softmax, nats
};

/// Gradients of a scalar with respect to HeadValues; each R × 1, absent = zero.
struct HeadGradients {
  ConstView log_prob, lse, entropy;
};

/// Decoupled weight decay Adam (Loshchilov & Hutter 2019, algorithm 2).
struct AdamW {
  double learning_rate = 0, beta1 = 0.9, beta2 = 0.95, epsilon = 1e-8, weight_decay = 0;
  int64_t step = 1;           ///< 1 for the first update
  double gradient_scale = 1;  ///< clipping: the gradient is multiplied by it
  // Of parameters in bf16 (runtime/rounding.hpp):
  uint64_t seed = 0;
  int64_t first = 0;  ///< number of the view's first element, counted on row by row
};

/// How one token is drawn from logits. Order: temperature, top-k, top-p, min-p. Temperature 0 is the argmax,
/// lowest id on ties.
struct Sampling {
  double temperature = 1;
  int64_t top_k = 0;  ///< 0 = all
  double top_p = 1;
  double min_p = 0;
};

/// Where a mixture of experts sends T tokens: each to K of E experts, one (token, choice) pair a row of what
/// the experts work on, and the rows of one expert behind each other, in the order of tokens.
struct Routing {
  View probabilities;  ///< T × E: softmax of the router's logits; may be the logits' own place
  View lse;            ///< T × 1: their logsumexp
  View experts;  ///< T × K, i32: the likeliest, in falling order, of equal logits the lower index first
  View weights;  ///< T × K: probabilities of the chosen over their sum
  View offsets;  ///< (E + 1) × 1, i32: expert e works on rows [offsets[e], offsets[e + 1])
  View tokens;   ///< (T·K) × 1, i32: the token of each row, ascending within an expert
  View places;   ///< T × K, i32: the row of each choice
  View load;     ///< optional, 1 × E: rows of each expert
  View mass;     ///< optional, 1 × E: sum of its probabilities
};

/// Gradients of what is added to a loss to keep experts busy: d/dp[t,e] = balance · load[e] and
/// d/d lse[t] = 2 · z · lse[t].
struct RouterGradients {
  ConstView load;  ///< 1 × E; absent = no balance
  double balance = 0, z = 0;
};

/// out[R,N] = a[R,K] · b, each expert's rows with its own b[K,N], or out += with `accumulate`. a, b and out:
/// compute.
struct GroupedMatmul {
  View out;
  ConstView a;
  ConstView b;                ///< of expert 0
  bool transpose_b = false;   ///< b is stored N × K
  int64_t expert_stride = 0;  ///< elements from one expert's b to the next one's
  ConstView offsets;          ///< (E + 1) × 1: first 0, last R, ascending; an expert may have no rows
  bool accumulate = false;
  bool keep_b = false;  ///< as in Matmul
};

/// Elements of one partial sum of squares.
constexpr int64_t kSquaresBlock = 4096;

class Backend {
 public:
  virtual ~Backend() = default;

  // --- elementary
  // -------------------------------------------------------------------------------------------------
  virtual void fill(View out, double value) = 0;
  /// out = in; the shapes agree, strides may differ; compute, rounded where out is narrower.
  virtual void copy(View out, ConstView in) = 0;
  /// out += scale · in.
  virtual void axpy(View out, double scale, ConstView in) = 0;
  /// out[i] = in[rows[i]]; rows is R × 1; compute, one type.
  virtual void gather_rows(View out, ConstView in, ConstView rows) = 0;
  /// out[rows[i]] = in[i]; rows are distinct; other rows of out stay. Also stores keys and values into a
  /// cache. Compute, one type.
  virtual void scatter_rows(View out, ConstView in, ConstView rows) = 0;
  /// out[1,C] adds the sum of in's rows (bias gradients); in: compute.
  virtual void sum_rows(View out, ConstView in) = 0;
  /// out (1 × 1, f64) = sum of squares of all elements of in (compute), in fixed blocks. Or, of a row
  /// in[1,n], out (1 × B, f64) has the sum of each block of kSquaresBlock elements.
  virtual void sum_of_squares(View out, ConstView in) = 0;

  // --- products
  // ---------------------------------------------------------------------------------------------------
  virtual void matmul(const Matmul& args) = 0;
  /// out (i8, N × K) = a weight that is only multiplied with from here on, stored N × K, or K × N where
  /// `transposed`; runtime/int8.hpp says how it lies and how near it is. The bytes are the same on every
  /// device.
  virtual void quantize(View out, ConstView weight, bool transposed) = 0;

  // --- embedding
  // --------------------------------------------------------------------------------------------------
  /// out[t] = table[ids[t]], or out[t] += with `accumulate` (learned positions). table V × C (compute or i8),
  /// ids T × 1.
  virtual void embedding(View out, ConstView table, ConstView ids, bool accumulate) = 0;
  /// dtable[ids[t]] adds dout[t], finished for each table row in the order of t, then added once.
  virtual void embedding_backward(View dtable, ConstView dout, ConstView ids) = 0;

  // --- norms
  // ------------------------------------------------------------------------------------------------------
  /// RMSNorm (Zhang & Sennrich 2019): out = in · rstd · weight, rstd[T,1] = (mean(in²) + eps)^-1/2.
  /// in, out and weight: compute.
  virtual void rmsnorm(View out, View rstd, ConstView in, ConstView weight, double eps) = 0;
  /// din = (or += with accumulate_din) the gradient; dweight[1,C] adds. din may be dout. din,
  /// dout, in and weight: compute.
  virtual void rmsnorm_backward(View din, bool accumulate_din, View dweight, ConstView dout, ConstView in,
                                ConstView weight, ConstView rstd) = 0;
  /// LayerNorm (Ba et al. 2016); moments[T,2] = mean, rstd. Types as rmsnorm's.
  virtual void layernorm(View out, View moments, ConstView in, ConstView weight, ConstView bias,
                         double eps) = 0;
  virtual void layernorm_backward(View din, bool accumulate_din, View dweight, View dbias, ConstView dout,
                                  ConstView in, ConstView weight, ConstView moments) = 0;

  // --- positions
  // --------------------------------------------------------------------------------------------------
  /// Rotary embedding (Su et al. 2021) in place on x[T, heads·head_dim] (compute), Hugging Face's half-split
  /// pairing (i, i + head_dim/2). inverse_frequency is 1 × head_dim/2, positions T × 1. `inverse` rotates
  /// back: the backward.
  virtual void rotary(View x, ConstView positions, ConstView inverse_frequency, int64_t heads,
                      int64_t head_dim, bool inverse) = 0;

  // --- attention
  // --------------------------------------------------------------------------------------------------
  /// Causal attention within each document of a packed batch, never across; scores are never stored whole
  /// (Dao et al. 2022). q[T, heads·head_dim], k and v[T, kv_heads·head_dim], out as q, lse[T, heads];
  /// document_starts (D+1) × 1, first 0, last T. q, k, v and out: compute. What enters a product is rounded
  /// to compute(), the softmax's weights and (backward) the gradients of scores too.
  virtual void attention(View out, View lse, ConstView q, ConstView k, ConstView v, ConstView document_starts,
                         const AttentionShape& shape) = 0;
  /// dq, dk, dv are overwritten; all but lse: compute.
  virtual void attention_backward(View dq, View dk, View dv, ConstView dout, ConstView q, ConstView k,
                                  ConstView v, ConstView out, ConstView lse, ConstView document_starts,
                                  const AttentionShape& shape) = 0;
  /// Attention of new rows over a cache that already holds their keys and values: row r belongs to
  /// sequence[r] and sees the cache rows sequence[r]·capacity + [0, length[r]). cache_k and cache_v are
  /// (sequences·capacity) × kv_heads·head_dim. out, q and the caches: compute.
  virtual void cached_attention(View out, ConstView q, ConstView cache_k, ConstView cache_v,
                                ConstView sequence, ConstView length, int64_t capacity,
                                const AttentionShape& shape) = 0;

  // --- activations
  // ------------------------------------------------------------------------------------------------
  /// SwiGLU (Shazeer 2020): out[T,F] = silu(gate) · up, gate_up[T,2F] = gate | up. Activations and their
  /// gradients: compute.
  virtual void swiglu(View out, ConstView gate_up) = 0;
  virtual void swiglu_backward(View dgate_up, ConstView dout, ConstView gate_up) = 0;
  /// GELU, tanh form (Hendrycks & Gimpel 2016), as GPT-2's "gelu_new".
  virtual void gelu(View out, ConstView in) = 0;
  virtual void gelu_backward(View din, ConstView dout, ConstView in) = 0;

  // --- experts
  // ----------------------------------------------------------------------------------------------------
  /// The router of a mixture of experts (Jiang et al. 2024, §2.1) from logits[T,E]. How many rows an expert
  /// has stays on the device.
  virtual void route(const Routing& out, ConstView logits) = 0;
  /// dlogits[T,E] is overwritten; dweights[T,K]. Reads probabilities, lse, experts and weights of `routing`.
  virtual void route_backward(View dlogits, ConstView dweights, const Routing& routing,
                              const RouterGradients& gradients) = 0;
  virtual void grouped_matmul(const GroupedMatmul& args) = 0;
  /// dweight (N × K, of expert 0, the others expert_stride further) adds doutᵀ · a over each expert's rows;
  /// dout[R,N] and a[R,K]: compute.
  virtual void grouped_matmul_gradient(View dweight, int64_t expert_stride, ConstView dout, ConstView a,
                                       ConstView offsets) = 0;
  /// out[t] = Σ_k weights[t,k] · in[places[t,k]], in the order of k, then + residual[t] where there is one
  /// (it may be out). Absent weights are 1. out, in and residual: compute.
  virtual void combine_rows(View out, ConstView in, ConstView weights, ConstView places,
                            ConstView residual) = 0;
  /// din[places[t,k]] = weights[t,k] · dout[t], dweights[t,k] = dout[t] · in[places[t,k]]. din, dout and in:
  /// compute.
  virtual void combine_rows_backward(View din, View dweights, ConstView dout, ConstView in, ConstView weights,
                                     ConstView places) = 0;

  // --- the language-model head
  // ------------------------------------------------------------------------------------
  /// For rows hidden[R,C] and targets[R,1]: logits = logit_scale · hidden · weightᵀ (weight V × C, compute or
  /// i8), computed in chunks of rows, never stored for all; the values of each row's target. hidden: compute.
  virtual void head(const HeadValues& values, ConstView hidden, ConstView weight, ConstView targets,
                    double logit_scale) = 0;
  /// Gradients of head(): dhidden[R,C] (compute) is overwritten, dweight[V,C] too, or with accumulate_dweight
  /// adds, which takes scratch of its size. Logits are computed anew; the values come out too where wanted,
  /// so that a loss whose upstream gradients are known beforehand needs this call alone.
  virtual void head_backward(View dhidden, bool accumulate_dweight, View dweight, const HeadValues& values,
                             ConstView hidden, ConstView weight, ConstView targets,
                             const HeadGradients& gradients, double logit_scale) = 0;

  // --- optimizer
  // --------------------------------------------------------------------------------------------------
  /// parameter: compute; m, v and gradient: real. A parameter in bf16 is updated in f32 and rounded
  /// stochastically.
  virtual void adamw(View parameter, View m, View v, ConstView gradient, const AdamW& args) = 0;

  // --- sampling
  // ---------------------------------------------------------------------------------------------------
  /// Draws ids[R,1] from logits[R,V] by inverting the distribution at uniforms[R,1] (in [0,1)); log_prob[R,1]
  /// = log p of the drawn id under softmax(logits / temperature) before filtering (at temperature 0: under
  /// softmax(logits)).
  virtual void sample(View ids, View log_prob, ConstView logits, ConstView uniforms,
                      const Sampling& args) = 0;
};

}  // namespace gristmill::runtime

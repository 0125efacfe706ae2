#pragma once

// What an instruction set provides: a table of kernels that work on plain memory on one thread. The backend
// above decides who works on what; no kernel's result depends on that.

#include <cstdint>

namespace gristmill::runtime::cpu {

/// A block of a product on one thread: rows of out × a run of column panels. Every element is one chain of
/// multiply-adds over k in rising order, whatever the blocking, so that a row's result does not depend on its
/// neighbours.
struct ProductBlock {
  int64_t rows = 0, cols = 0, depth = 0;
  const float* a = nullptr;  ///< depth × rows if transposed, else rows × depth
  int64_t a_stride = 0;
  bool a_transposed = false;
  const float* packed_b =
      nullptr;               ///< panels of tile_cols columns, each depth × tile_cols; or null: pack `b` here
  const float* b = nullptr;  ///< cols × depth if transposed, else depth × cols
  int64_t b_stride = 0;
  bool b_transposed = false;
  float* out = nullptr;
  int64_t out_stride = 0;
  bool accumulate = false;
  const float* bias = nullptr;
  const float* residual = nullptr;
  int64_t residual_stride = 0;
  float* scratch = nullptr;  ///< product_scratch() floats
};

/// Queries over the keys of one document (or cached sequence) and one key head.
struct AttentionBlock {
  int64_t head_dim = 0;
  float scale = 1;
  const float* q = nullptr;  ///< head slice: rows of queries
  int64_t q_stride = 0;
  const float* k = nullptr;
  int64_t k_stride = 0;
  const float* v = nullptr;
  int64_t v_stride = 0;
  float* out = nullptr;
  int64_t out_stride = 0;
  float* lse = nullptr;  ///< may be null
  int64_t lse_stride = 0;
  int64_t queries = 0;       ///< rows of q
  int64_t first_length = 0;  ///< query row i sees keys [0, first_length + i·length_step)
  int64_t length_step = 1;
  float* scratch = nullptr;
};

/// All heads that share one key head of one document.
struct AttentionGradientBlock {
  AttentionBlock forward;  ///< first head of the group; out and lse hold the forward's results
  int64_t heads = 1;       ///< in the group; head h is at q + h·head_dim and lse + h
  const float* dout = nullptr;
  int64_t dout_stride = 0;
  float* dq = nullptr;
  int64_t dq_stride = 0;
  float* dk = nullptr;
  int64_t dk_stride = 0;
  float* dv = nullptr;
  int64_t dv_stride = 0;
};

/// A run of rows of a norm; unused pointers are null.
struct NormRows {
  int64_t rows = 0, cols = 0;
  const float* in = nullptr;
  int64_t in_stride = 0;
  const float* weight = nullptr;
  const float* bias = nullptr;
  float* out = nullptr;  ///< forward: the result; backward: din
  int64_t out_stride = 0;
  float* moments = nullptr;  ///< rstd, or mean and rstd
  int64_t moments_stride = 0;
  double eps = 0;
  const float* dout = nullptr;
  int64_t dout_stride = 0;
  bool accumulate = false;
  float* weight_sums = nullptr;  ///< overwritten with these rows' part of dweight
  float* bias_sums = nullptr;
};

struct SoftmaxMoments {
  float highest = 0;    ///< of scale·logits
  double total = 0;     ///< Σ e^(z - highest)
  double weighted = 0;  ///< Σ (z - highest)·e^(z - highest)
};

/// dz = scale·(p·(by_mass - by_logit·z)), one-hot part aside; p = e^(z - lse), z = scale·logit.
struct SoftmaxGradient {
  float scale = 1, lse = 0, by_mass = 0, by_logit = 0;
};

struct AdamWFactors {
  float beta1, beta2, rest1, rest2, step, unbias, epsilon, decay, scale;
};

struct Kernels {
  const char* name;
  int64_t tile_rows, tile_cols;

  void (*pack_b)(float* packed, const float* b, int64_t b_stride, bool transposed, int64_t cols,
                 int64_t depth);
  int64_t (*product_scratch)(int64_t rows, int64_t cols, int64_t depth, bool packed);
  void (*product)(const ProductBlock&);

  int64_t (*attention_scratch)(int64_t head_dim, int64_t keys);
  void (*attention)(const AttentionBlock&);
  int64_t (*attention_backward_scratch)(int64_t head_dim, int64_t keys);
  void (*attention_backward)(const AttentionGradientBlock&);

  void (*rmsnorm)(const NormRows&);
  void (*rmsnorm_backward)(const NormRows&);
  void (*layernorm)(const NormRows&);
  void (*layernorm_backward)(const NormRows&);

  // Elements of one row.
  void (*swiglu)(float* out, const float* gate, const float* up, int64_t size);
  void (*swiglu_backward)(float* dgate, float* dup, const float* dout, const float* gate, const float* up,
                          int64_t size);
  void (*gelu)(float* out, const float* in, int64_t size);
  void (*gelu_backward)(float* din, const float* dout, const float* in, int64_t size);
  /// Turns the `heads` heads of one row.
  void (*rotary)(float* x, const float* cosines, const float* sines, float sign, int64_t heads,
                 int64_t head_dim);
  void (*axpy)(float* out, float scale, const float* in, int64_t size);
  double (*sum_of_squares)(const float* in, int64_t size);
  void (*adamw)(float* parameter, float* m, float* v, const float* gradient, const AdamWFactors&,
                int64_t size);

  SoftmaxMoments (*softmax_moments)(const float* logits, float scale, int64_t size);
  void (*softmax_gradient)(float* logits, const SoftmaxGradient&, int64_t size);
};

const Kernels& scalar_kernels();
const Kernels& avx2_kernels();
const Kernels& avx512_kernels();

/// The best set that this machine executes, or the one that GRISTMILL_ISA names; Error{usage} for an unknown
/// name, Error{device} for one that the machine lacks.
const Kernels& choose_kernels();

}  // namespace gristmill::runtime::cpu

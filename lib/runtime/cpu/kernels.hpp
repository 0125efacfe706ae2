#pragma once

// What an instruction set provides: a table of kernels that work on plain memory on one thread. The backend
// above decides who works on what; no kernel's result depends on that.

#include <cstdint>

#include "runtime/rounding.hpp"

namespace gristmill::runtime::cpu {

/// A stored operand of a product: f32, or bf16 where `narrow`.
struct Operand {
  const void* data = nullptr;
  int64_t stride = 0;  ///< elements from row to row
  bool narrow = false;
  bool transposed = false;  ///< a is stored depth × rows, b is stored cols × depth
};

/// A block of a product on one thread: rows of out × a run of column panels. Every element is one chain of
/// multiply-adds over k in rising order, whatever the blocking, so that a row's result does not depend on its
/// neighbours.
struct ProductBlock {
  int64_t rows = 0, cols = 0, depth = 0;
  int64_t pair = 0;  ///< where not 0: `cols` columns, and as many again `pair` further on
  Operand a, b;
  const float* packed_b = nullptr;  ///< b in panels (see Products); or null: `b` is packed here
  void* out = nullptr;
  int64_t out_stride = 0;
  bool out_narrow = false;  ///< out is bf16
  bool accumulate = false;
  const float* bias = nullptr;
  const float* residual = nullptr;
  int64_t residual_stride = 0;
  /// rows × cols, or null: of the result that was stored, GELU, or with `pair` SwiGLU.
  void* activated = nullptr;
  int64_t activated_stride = 0;
  bool activated_narrow = false;
  float* scratch = nullptr;  ///< Products::scratch() floats
};

/// Products with one precision of operands. b's panels are tile_cols columns each, over the depth in steps of
/// `step` elements: a step of a column is one float (step 1) or a pair of bf16 (step 2, an odd depth padded
/// with zero), and a panel lies step by step: ⌈depth / step⌉ × tile_cols items of 32 bits.
struct Products {
  int64_t tile_rows, tile_cols, step;
  /// Packs `cols` columns from the first of b.
  void (*pack_b)(float* packed, const Operand& b, int64_t cols, int64_t depth);
  int64_t (*scratch)(int64_t rows, int64_t cols, int64_t depth, bool packed);
  void (*product)(const ProductBlock&);
  /// Multiply-adds in registers, `rounds` times over: the operations done. `sink` takes a result.
  double (*multiply_adds)(int64_t rounds, float* sink);
};

/// Where rows of results go: f32, or bf16 where `narrow`.
struct Result {
  void* data = nullptr;
  int64_t stride = 0;
  bool narrow = false;
};

/// A block of a product with a weight in int8: rows of a × a run of strips.
struct Int8Block {
  ProductBlock out;              ///< size, out, bias and residual; its operands are these:
  const char* packed = nullptr;  ///< rows of a in tiles
  const char* weight = nullptr;  ///< the first strip
};

/// Weights in int8 (runtime/int8.hpp), and packed tiles of `tile_rows` rows of f32 (the last of a matrix may
/// have fewer).
struct Int8Products {
  int64_t tile_rows;
  int64_t (*tile_bytes)(int64_t depth);  ///< a multiple of 64
  void (*pack_rows)(char* tile, const float* from, int64_t stride, int64_t rows, int64_t depth);
  void (*product)(const Int8Block&);
  void (*pack_strip)(char* strip, const float* from, int64_t stride, int64_t rows, int64_t depth);
  void (*unpack_row)(float* out, const char* strip, int64_t row, int64_t depth);
};

/// Queries over the keys of one document (or cached sequence) and one key head.
struct AttentionBlock {
  int64_t head_dim = 0;
  float scale = 1;
  Operand q, k, v;  ///< head slices: rows of queries, of keys and of values
  Result out;
  float* lse = nullptr;  ///< may be null
  int64_t lse_stride = 0;
  int64_t queries = 0;       ///< rows of q
  int64_t first_length = 0;  ///< query row i sees keys [0, first_length + i·length_step)
  int64_t length_step = 1;
  float* scratch = nullptr;
};

/// All heads that share one key head of one document of `rows`; head h is at column h·head_dim of what
/// belongs to queries.
struct AttentionGradientBlock {
  int64_t head_dim = 0, heads = 1, rows = 0;
  float scale = 1;
  Operand q, k, v, out, dout;
  const float* lse = nullptr;  ///< head h's at column h
  int64_t lse_stride = 0;
  Result dq, dk, dv;
  float* scratch = nullptr;
};

/// Attention whose products have one precision of operands: what enters a product is rounded to it, the
/// softmax's weights and the gradients of scores too.
struct Attention {
  /// Floats of scratch.
  int64_t (*forward_scratch)(int64_t head_dim, int64_t keys);
  void (*forward)(const AttentionBlock&);
  int64_t (*backward_scratch)(int64_t head_dim, int64_t rows);
  void (*backward)(const AttentionGradientBlock&);
  /// One row of a cache with all keys that it sees, for `kv_heads` key heads side by side, each with
  /// block.queries ≤ few_queries query heads.
  int64_t (*row_scratch)(int64_t head_dim, int64_t kv_heads);
  void (*row)(const AttentionBlock& block, int64_t kv_heads);
  int64_t few_queries;
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
  Products exact;  ///< f32 operands
  Products mixed;  ///< f32 or bf16 operands, rounded to bf16
  Attention exact_attention, mixed_attention;

  // Elements of one row between bf16 and f32.
  void (*widen)(float* out, const uint16_t* in, int64_t size);
  void (*narrow)(uint16_t* out, const float* in, int64_t size);

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
  /// A parameter in bf16, rounded stochastically.
  void (*adamw_half)(uint16_t* parameter, float* m, float* v, const float* gradient, const AdamWFactors&,
                     const Rounding&, int64_t size);

  SoftmaxMoments (*softmax_moments)(const float* logits, float scale, int64_t size);
  void (*softmax_gradient)(float* logits, const SoftmaxGradient&, int64_t size);

  Int8Products int8;
};

const Kernels& scalar_kernels();
const Kernels& avx2_kernels();
const Kernels& avx512_kernels();
const Kernels& avx512bf16_kernels();

/// The best set that this machine executes, or the one that GRISTMILL_ISA names; Error{usage} for an unknown
/// name, Error{device} for one that the machine lacks.
const Kernels& choose_kernels();

}  // namespace gristmill::runtime::cpu

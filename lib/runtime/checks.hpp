#pragma once

// The shape and type rules of Backend's methods, in one place for every backend. Each function throws
// Error{internal} that names the method, the argument and both shapes.

#include <cstdint>

#include "runtime/backend.hpp"
#include "runtime/tensor.hpp"

namespace gristmill::runtime::checks {

/// The device's real() and compute() types.
struct Types {
  Types(DType only) : real(only), compute(only) {}
  Types(DType real_, DType compute_) : real(real_), compute(compute_) {}
  DType real, compute;
};

/// Both of the real type, or of any compute type.
void fill(ConstView out, DType real);
void same_shape(const char* method, ConstView out, ConstView in, DType real);
void same_shape_computed(const char* method, ConstView out, ConstView in, Types types);
void gather_rows(ConstView out, ConstView in, ConstView rows, Types types);
void scatter_rows(ConstView out, ConstView in, ConstView rows, Types types);
void sum_rows(ConstView out, ConstView in, Types types);
void sum_of_squares(ConstView out, ConstView in, Types types);
void matmul(const Matmul& args, Types types);
void quantize(ConstView out, ConstView weight, bool transposed, Types types);
void embedding_gradient(ConstView dtable, Types types);
void embedding(ConstView rows, ConstView table, ConstView ids, Types types);
void rmsnorm(ConstView out, ConstView rstd, ConstView in, ConstView weight, Types types);
void layernorm(ConstView out, ConstView moments, ConstView in, ConstView weight, ConstView bias, Types types);
/// dbias: absent for RMSNorm.
void norm_gradients(const char* method, ConstView dweight, ConstView dbias, int64_t cols, Types types);
void rotary(ConstView x, ConstView positions, ConstView inverse_frequency, int64_t heads, int64_t head_dim,
            Types types);
void attention(ConstView out, ConstView lse, ConstView q, ConstView k, ConstView v, ConstView document_starts,
               const AttentionShape& shape, Types types);
void attention_gradients(ConstView dq, ConstView dk, ConstView dv, ConstView dout, ConstView q, ConstView k,
                         Types types);
void cached_attention(ConstView out, ConstView q, ConstView cache_k, ConstView cache_v, ConstView sequence,
                      ConstView length, int64_t capacity, const AttentionShape& shape, Types types);
void swiglu(ConstView out, ConstView gate_up, Types types);
void route(const Routing& routing, ConstView logits, Types types);
void route_gradients(ConstView dlogits, ConstView dweights, const Routing& routing,
                     const RouterGradients& gradients, Types types);
void grouped_matmul(const GroupedMatmul& args, Types types);
void grouped_matmul_gradient(ConstView dweight, int64_t expert_stride, ConstView dout, ConstView a,
                             ConstView offsets, Types types);
void combine_rows(ConstView out, ConstView in, ConstView weights, ConstView places, ConstView residual,
                  Types types);
void combine_rows_gradients(ConstView din, ConstView dweights, ConstView dout, ConstView in,
                            ConstView weights, ConstView places, Types types);
void head(const HeadValues& values, ConstView hidden, ConstView weight, ConstView targets, Types types);
void head_gradients(ConstView dhidden, ConstView dweight, const HeadGradients& gradients, ConstView hidden,
                    ConstView weight, Types types);
void adamw(ConstView parameter, ConstView m, ConstView v, ConstView gradient, Types types);
void sample(ConstView ids, ConstView log_prob, ConstView logits, ConstView uniforms, Types types);

/// The rows [begin, end) of the first, the last or another expert must cover `rows` in order.
void segment(const char* method, int64_t begin, int64_t end, int64_t rows, bool first, bool last);
/// An index that a kernel is about to follow must lie in [0, limit).
void index(const char* method, int64_t value, int64_t limit);

}  // namespace gristmill::runtime::checks

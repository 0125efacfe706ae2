#pragma once

// The shape and type rules of Backend's methods, in one place for every backend. Each function throws
// Error{internal} that names the method, the argument and both shapes. `real` is the device's type.

#include <cstdint>

#include "runtime/backend.hpp"
#include "runtime/tensor.hpp"

namespace gristmill::runtime::checks {

void same_shape(const char* method, ConstView out, ConstView in, DType real);
void gather_rows(ConstView out, ConstView in, ConstView rows, DType real);
void scatter_rows(ConstView out, ConstView in, ConstView rows, DType real);
void sum_rows(ConstView out, ConstView in, DType real);
void sum_of_squares(ConstView out, ConstView in, DType real);
void matmul(const Matmul& args, DType real);
void embedding(ConstView rows, ConstView table, ConstView ids, DType real);
void rmsnorm(ConstView out, ConstView rstd, ConstView in, ConstView weight, DType real);
void layernorm(ConstView out, ConstView moments, ConstView in, ConstView weight, ConstView bias, DType real);
void rotary(ConstView x, ConstView positions, ConstView inverse_frequency, int64_t heads, int64_t head_dim,
            DType real);
void attention(ConstView out, ConstView lse, ConstView q, ConstView k, ConstView v, ConstView document_starts,
               const AttentionShape& shape, DType real);
void attention_gradients(ConstView dq, ConstView dk, ConstView dv, ConstView dout, ConstView q, ConstView k,
                         DType real);
void cached_attention(ConstView out, ConstView q, ConstView cache_k, ConstView cache_v, ConstView sequence,
                      ConstView length, int64_t capacity, const AttentionShape& shape, DType real);
void swiglu(ConstView out, ConstView gate_up, DType real);
void head(const HeadValues& values, ConstView hidden, ConstView weight, ConstView targets, DType real);
void head_gradients(ConstView dhidden, ConstView dweight, const HeadGradients& gradients, ConstView hidden,
                    ConstView weight, DType real);
void adamw(ConstView parameter, ConstView m, ConstView v, ConstView gradient, DType real);
void sample(ConstView ids, ConstView log_prob, ConstView logits, ConstView uniforms, DType real);

/// An index that a kernel is about to follow must lie in [0, limit).
void index(const char* method, int64_t value, int64_t limit);

}  // namespace gristmill::runtime::checks

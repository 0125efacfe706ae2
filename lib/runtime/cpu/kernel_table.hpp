#pragma once

// All kernels at the width of the including isa_*.cpp.

#include "runtime/cpu/attention_backward_kernels.hpp"
#include "runtime/cpu/attention_kernels.hpp"
#include "runtime/cpu/cached_attention_kernels.hpp"
#include "runtime/cpu/int8_kernels.hpp"
#include "runtime/cpu/kernels.hpp"
#include "runtime/cpu/product_kernels.hpp"
#include "runtime/cpu/row_kernels.hpp"

namespace gristmill::runtime::cpu {
namespace {

#if defined(__AVX512BF16__)
using Mixed = Paired;
#else
using Mixed = Rounded;
#endif

template <class Format>
constexpr Attention attention() {
  return {attention_scratch<Format>,
          attention_forward<Format>,
          attention_backward_scratch<Format>,
          attention_backward<Format>,
          attention_row_scratch<Format>,
          attention_row<Format>,
          kFewQueries};
}

constexpr Kernels kernel_table(const char* name) {
  return Kernels{name,
                 products<Exact>(),
                 products<Mixed>(),
                 attention<Exact>(),
                 attention<Mixed>(),
                 widen,
                 narrow,
                 rmsnorm,
                 rmsnorm_backward,
                 layernorm,
                 layernorm_backward,
                 swiglu,
                 swiglu_backward,
                 gelu,
                 gelu_backward,
                 rotary,
                 axpy,
                 sum_of_squares,
                 adamw,
                 adamw_half,
                 softmax_moments,
                 softmax_gradient,
                 int8_products()};
}

}  // namespace
}  // namespace gristmill::runtime::cpu

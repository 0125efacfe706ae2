#pragma once

// All kernels at the width of the including isa_*.cpp.

#include "runtime/cpu/attention_backward_kernels.hpp"
#include "runtime/cpu/attention_kernels.hpp"
#include "runtime/cpu/kernels.hpp"
#include "runtime/cpu/product_kernels.hpp"
#include "runtime/cpu/row_kernels.hpp"

namespace gristmill::runtime::cpu {
namespace {

constexpr Kernels kernel_table(const char* name) {
#if defined(__AVX512BF16__)
  constexpr Products kMixed = products<Paired>();
#else
  constexpr Products kMixed = products<Rounded>();
#endif
  return Kernels{name,
                 products<Exact>(),
                 kMixed,
                 widen,
                 narrow,
                 attention_scratch,
                 attention,
                 attention_backward_scratch,
                 attention_backward,
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
                 softmax_moments,
                 softmax_gradient};
}

}  // namespace
}  // namespace gristmill::runtime::cpu

#pragma once

// Views as what kernels take.

#include <cstdint>

#include "runtime/cpu/kernels.hpp"
#include "runtime/tensor.hpp"

namespace gristmill::runtime::cpu {

inline Operand operand_of(const ConstView& view, bool transposed = false) {
  return {view.data, view.stride, view.dtype == DType::bf16, transposed};
}

inline Result result_of(const View& view) { return {view.data, view.stride, view.dtype == DType::bf16}; }

}  // namespace gristmill::runtime::cpu

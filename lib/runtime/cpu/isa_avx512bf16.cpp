// The kernels compiled for avx512bf16, which multiplies pairs of bf16, and (VNNI)
// fours of bytes, in one instruction: the flags are in
// lib/CMakeLists.txt.

#include "runtime/cpu/kernel_table.hpp"

namespace gristmill::runtime::cpu {

const Kernels& avx512bf16_kernels() {
  static constexpr Kernels kTable = kernel_table("avx512bf16");
  return kTable;
}

}  // namespace gristmill::runtime::cpu

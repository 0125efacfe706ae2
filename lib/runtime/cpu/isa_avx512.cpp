// The kernels compiled for avx512: the flags are in lib/CMakeLists.txt.

#include "runtime/cpu/kernel_table.hpp"

namespace gristmill::runtime::cpu {

const Kernels& avx512_kernels() {
  static constexpr Kernels kTable = kernel_table("avx512");
  return kTable;
}

}  // namespace gristmill::runtime::cpu

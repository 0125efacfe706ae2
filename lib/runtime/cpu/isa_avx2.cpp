// The kernels compiled for avx2: the flags are in lib/CMakeLists.txt.

#include "runtime/cpu/kernel_table.hpp"

namespace gristmill::runtime::cpu {

const Kernels& avx2_kernels() {
  static constexpr Kernels kTable = kernel_table("avx2");
  return kTable;
}

}  // namespace gristmill::runtime::cpu

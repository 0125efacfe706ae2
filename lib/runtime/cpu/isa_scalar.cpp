// The kernels compiled for any x86-64.

#include "runtime/cpu/kernel_table.hpp"

namespace gristmill::runtime::cpu {

const Kernels& scalar_kernels() {
  static constexpr Kernels kTable = kernel_table("scalar");
  return kTable;
}

}  // namespace gristmill::runtime::cpu

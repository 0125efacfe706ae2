#include "base/environment.hpp"
#include "base/error.hpp"
#include "runtime/cpu/kernels.hpp"

namespace gristmill::runtime::cpu {

namespace {

bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

/// No processor has the second without the first.
bool has_avx512bf16() {
  return has_avx512() && __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bf16");
}

const Kernels& demanded(bool available, const Kernels& kernels) {
  if (!available) {
    fail(Kind::device, "GRISTMILL_ISA=", kernels.name,
         ": this processor does not have it; unset the variable");
  }
  return kernels;
}

}  // namespace

const Kernels& choose_kernels() {
  const auto name = environment_variable("GRISTMILL_ISA");
  if (!name) {
    if (has_avx512bf16()) return avx512bf16_kernels();
    return has_avx512() ? avx512_kernels() : has_avx2() ? avx2_kernels() : scalar_kernels();
  }
  if (*name == "scalar") return scalar_kernels();
  if (*name == "avx2") return demanded(has_avx2(), avx2_kernels());
  if (*name == "avx512") return demanded(has_avx512(), avx512_kernels());
  if (*name == "avx512bf16") return demanded(has_avx512bf16(), avx512bf16_kernels());
  fail(Kind::usage, "GRISTMILL_ISA=", *name, ": expected scalar, avx2, avx512 or avx512bf16");
}

}  // namespace gristmill::runtime::cpu

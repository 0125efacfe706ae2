#pragma once

// The constants of runtime/int8.hpp by themselves, for kernels: those are compiled for several instruction
// sets, and may not call an inline function that others call too (runtime/cpu/simd.hpp says why).

#include <cstdint>

namespace gristmill::runtime {

constexpr int64_t kInt8StripRows = 32, kInt8Group = 4, kInt8GroupBytes = kInt8StripRows * kInt8Group;

}  // namespace gristmill::runtime

#pragma once

// What kernels take for views: plain structs that the host fills and the device reads. C++17 and without
// includes of the toolkit, since both compilers read it.

#include <cstdint>

namespace gristmill::runtime::cuda {

/// A matrix of f32, or of bf16 where `narrow`. One kernel serves both: the branch is the same for all
/// threads, and what such kernels wait for is memory.
struct ConstRows {
  const void* data;
  int64_t rows, cols, stride;  ///< stride: elements from row to row
  bool narrow;
};
struct Rows {
  void* data;
  int64_t rows, cols, stride;
  bool narrow;
};

/// A column of i32.
struct Indices {
  const int32_t* data;
  int64_t count, stride;
};

/// The numbers of a step of AdamW, worked out on the host in double.
struct AdamWFactors {
  float beta1, beta2, rest1, rest2, step, unbias, epsilon, decay, scale;
};

}  // namespace gristmill::runtime::cuda

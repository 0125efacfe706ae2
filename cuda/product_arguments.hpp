#pragma once

// What the kernels of products take, for both compilers (as arguments.hpp).

#include "cuda/arguments.hpp"

namespace gristmill::runtime::cuda {

/// A matrix of which kernels copy runs of 16 bytes: data and rows are aligned to that.
struct Operand {
  const void* data;
  int64_t stride;
};

/// Where results go and what is done to them on the way. Absent: data of null.
struct ProductOutput {
  Rows out;
  Rows activated;  ///< GELU of what is stored, or with pairs SwiGLU
  ConstRows residual;
  const float* bias;
  bool accumulate;
  bool pairs;  ///< SwiGLU: column c of the gate and column c + out.cols/2 are one
};

/// Experts that take turns over rows: expert e works on [offsets[e], offsets[e + 1]) with a matrix that is
/// e · stride elements behind the first one's.
struct Experts {
  Indices offsets;
  int64_t stride;
};

}  // namespace gristmill::runtime::cuda

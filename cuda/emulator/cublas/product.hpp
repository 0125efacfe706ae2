#pragma once

// A product of the emulated cuBLASLt: whether NVIDIA's library makes it, and what comes out.

#include <cstdint>

#include "emulator/cublas/objects.hpp"
#include "emulator/memory.hpp"

namespace gristmill::emulator::cublas {

/// D = A·B and what is added, all but the addresses.
struct Problem {
  Product product;
  Layout a, b, c, d;

  int64_t depth() const { return product.transpose_a == cuda::kAsStored ? a.cols : a.rows; }
};

/// What a search says: success, an invalid value where the shapes do not fit each other, not supported where
/// the library's table of types has no such line.
cuda::CublasStatus status_of(const Problem& problem);

/// What an algorithm is for: the emulator's content of the opaque one.
struct Choice {
  uint64_t mark, problem, workspace;
  uint32_t align_a, align_b, align_c, align_d, align_bias, reserved[5];
};
static_assert(sizeof(Choice) == sizeof(cuda::CublasAlgorithm));
Choice choice_of(const Problem& problem, const Preference& preference);

/// One product to be made: addresses of the GPU, and the factor of C.
struct Call {
  Problem problem;
  float alpha = 1, beta = 0;
  uint64_t a = 0, b = 0, c = 0, d = 0, workspace = 0;
  uint64_t workspace_bytes = 0;
};

/// Error{device} unless the call keeps what its algorithm was chosen for.
void expect_as_chosen(const Call& call, const Choice& choice);

/// Makes the product. Error{device} for what it reads where nothing was written, for what lies outside
/// memory, and for results that lie over operands. The workspace is overwritten.
void run(const Call& call, Memory& memory);

}  // namespace gristmill::emulator::cublas

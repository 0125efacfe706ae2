#pragma once

// The instructions of the tensor cores and of asynchronous copies, as functions. mma.sync with m16n8k16,
// ldmatrix and cp.async exist from sm_80 on and are the same on everything newer.
//
// Layout of the 16 × 16 and 16 × 8 pieces over the lanes of a warp (PTX ISA, "Matrix Fragments for
// mma.m16n8k16"): lane l holds of a result rows l/4 and l/4 + 8, columns 2·(l%4) and 2·(l%4) + 1; two results
// side by side, rounded to bf16, are the left operand of the next product without any exchange.

#include <cstdint>

#include "cuda/bf16.cuh"

namespace gristmill::runtime::cuda {

constexpr unsigned kAllLanes = 0xffffffffu;

__device__ inline uint32_t shared_address(const void* pointer) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}

/// 16 bytes global → shared, both aligned to 16; where not `inside` nothing is read and zeros are written.
/// Goes past L1: other blocks share tiles by way of L2.
__device__ inline void copy_async(void* to, const void* from, bool inside = true) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from),
               "r"(inside ? 16 : 0)
               : "memory");
}

/// The same for 4 bytes aligned to 4.
__device__ inline void copy_async_word(void* to, const void* from, bool inside = true) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(shared_address(to)), "l"(from),
               "r"(inside ? 4 : 0)
               : "memory");
}

/// What this thread has copied since the last call becomes a group.
__device__ inline void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }

/// Waits until at most kLeft groups of this thread are under way. Other threads see the bytes after a
/// barrier.
template <int kLeft>
__device__ inline void wait_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kLeft) : "memory");
}

/// Four 8 × 8 matrices of 16-bit numbers; lanes 8i to 8i + 7 give the addresses of the rows of the i-th.
__device__ inline void load_matrices(uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
}

__device__ inline void load_matrices_transposed(uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
}

/// c (16 × 8) += a (16 × 16) · b (16 × 8), bf16 with sums in f32.
__device__ inline void multiply_add(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

}  // namespace gristmill::runtime::cuda

#pragma once

// Weights in int8: W[r][c] ≈ scale[r]·q[r][c] with q in [-127, 127] and scale[r] = max|W[r]| / 127, both in
// f32, so that no weight moves by more than scale[r] / 2 (Dettmers et al. 2022, §2; one scale a row, since a
// product over c can then take it out of the sum). A matrix lies in strips of 32 rows, in the order in which
// a product reads it: first the strip's 32 scales, then four columns after the other, for each row four
// bytes. What rows and columns are missing in the last strip and group is zero.

#include <cstdint>

#include "runtime/int8_layout.hpp"
#include "runtime/tensor.hpp"

namespace gristmill::runtime {

/// Longest row: 65,536 products of a byte and a weight fit into 32 bits.
constexpr int64_t kInt8MostCols = 65536;

constexpr int64_t int8_groups(int64_t cols) { return (cols + kInt8Group - 1) / kInt8Group; }
constexpr int64_t int8_strips(int64_t rows) { return (rows + kInt8StripRows - 1) / kInt8StripRows; }
/// The scales (4 bytes each) take as much as a group.
constexpr int64_t int8_strip_bytes(int64_t cols) { return kInt8GroupBytes * (1 + int8_groups(cols)); }
constexpr int64_t int8_bytes(int64_t rows, int64_t cols) {
  return int8_strips(rows) * int8_strip_bytes(cols);
}

/// The matrix of rows × cols in the bytes of `memory` (i8) from `offset`, a multiple of 64, on. Its stride is
/// that of a strip, in bytes; parts of it are no matrices.
inline View int8_matrix(View memory, int64_t offset, int64_t rows, int64_t cols) {
  View matrix(static_cast<char*>(memory.data) + offset, DType::i8, rows, cols);
  matrix.stride = int8_strip_bytes(cols);
  return matrix;
}

}  // namespace gristmill::runtime

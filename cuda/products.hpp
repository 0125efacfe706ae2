#pragma once

// What products of all kinds share on the host.

#include <cstdint>

#include "cuda/product_arguments.hpp"
#include "runtime/backend.hpp"

namespace gristmill::runtime::cuda {

/// Rows and columns of out that a block makes, and its threads.
struct TileShape {
  int64_t rows, cols, threads;
};

/// A side of a product as kernels take it; Error{internal} where it is too long.
int32_t side_of(int64_t size);

/// The tile for `batch` products of rows × cols: small ones where large ones would leave multiprocessors
/// without work.
TileShape tile_shape(DType compute, int64_t rows, int64_t cols, int64_t batch, int64_t multiprocessors);

/// Where a product's results go; with the activation that its kernel makes or without.
ProductOutput output_of(const Matmul& args, bool activation);

}  // namespace gristmill::runtime::cuda

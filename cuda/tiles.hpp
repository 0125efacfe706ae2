#pragma once

// Grids for element-wise work: a thread takes 4 elements of a row, a block some rows and some columns. The
// device's half is place_in() of rows.cuh.

#include <cstdint>

#include "cuda/gpu.hpp"

namespace gristmill::runtime::cuda {

constexpr int64_t kTileRun = 4, kTileThreads = 256;

struct Tiles {
  LaunchShape shape;
  uint32_t across;  ///< blocks side by side
};

/// Tiles over rows × cols; narrow matrices put several rows into a block.
Tiles tiled(int64_t rows, int64_t cols);

/// Views without gaps between their rows, of all given, become one long row each: element-wise work then
/// splits evenly. Rows, ConstRows.
template <class... Matrices>
void flatten(Matrices&... matrices) {
  if (((matrices.stride != matrices.cols) || ...)) return;
  const auto one = [](auto& m) {
    m.cols = m.stride = m.rows * m.cols;
    m.rows = m.cols > 0 ? 1 : 0;
  };
  (one(matrices), ...);
}

}  // namespace gristmill::runtime::cuda

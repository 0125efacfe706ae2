#include "cuda/tiles.hpp"

#include "base/error.hpp"
#include "cuda/backend.hpp"

namespace gristmill::runtime::cuda {

Tiles tiled(int64_t rows, int64_t cols) {
  int64_t threads = 1;
  while (threads < kTileThreads && threads * kTileRun < cols) threads *= 2;
  const int64_t across = blocks_for(cols, threads * kTileRun), high = kTileThreads / threads;
  if (across > INT32_MAX) fail(Kind::internal, "a row of ", cols, " elements is too long for a grid");
  return {{{across * blocks_for(rows, high)}, {threads, high}}, static_cast<uint32_t>(across)};
}

ConstRows rows_of(const ConstView& view) {
  return {view.data, view.rows, view.cols, view.stride, view.dtype == DType::bf16};
}
Rows rows_of(const View& view) {
  return {view.data, view.rows, view.cols, view.stride, view.dtype == DType::bf16};
}
Indices indices_of(const ConstView& view) {
  return {static_cast<const int32_t*>(view.data), view.rows, view.stride};
}

}  // namespace gristmill::runtime::cuda

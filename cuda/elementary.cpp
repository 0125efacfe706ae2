#include <algorithm>

#include "cuda/backend.hpp"
#include "cuda/tiles.hpp"

namespace gristmill::runtime::cuda {

namespace {

constexpr int64_t kSumCols = 128, kSumLanes = 8, kSumRows = 64;  // of a block; rows at least
constexpr int64_t kMostBands = 256;
constexpr int64_t kSumTile = kSquaresBlock, kSumThreads = 256, kMostSumBlocks = 1024;

}  // namespace

void CudaBackend::fill(View out_view, double value) {
  checks::fill(out_view, DType::f32);
  Rows out = rows_of(out_view);
  flatten(out);
  const Tiles tiles = tiled(out.rows, out.cols);
  gpu_.launch("elementary/fill", tiles.shape, out, tiles.across, static_cast<float>(value));
  written(out_view);
}

void CudaBackend::copy(View out_view, ConstView in_view) {
  if (in_view.dtype == DType::i32 && out_view.dtype == DType::i32) {
    checks::same_shape("copy", out_view, in_view, DType::i32);
  } else {
    checks::same_shape_computed("copy", out_view, in_view, types_);
  }
  Rows out = rows_of(out_view);
  ConstRows in = rows_of(in_view);
  flatten(out, in);
  const Tiles tiles = tiled(out.rows, out.cols);
  gpu_.launch("elementary/copy", tiles.shape, out, in, tiles.across);
  written(out_view);
}

void CudaBackend::axpy(View out_view, double scale, ConstView in_view) {
  checks::same_shape("axpy", out_view, in_view, DType::f32);
  Rows out = rows_of(out_view);
  ConstRows in = rows_of(in_view);
  flatten(out, in);
  const Tiles tiles = tiled(out.rows, out.cols);
  gpu_.launch("elementary/axpy", tiles.shape, out, static_cast<float>(scale), in, tiles.across);
  written(out_view);
}

void CudaBackend::gather_rows(View out, ConstView in, ConstView rows) {
  checks::gather_rows(out, in, rows, types_);
  const Tiles tiles = tiled(out.rows, out.cols);
  gpu_.launch("elementary/gather_rows", tiles.shape, rows_of(out), rows_of(in), indices_of(rows),
              tiles.across);
  written(out);
}

void CudaBackend::scatter_rows(View out, ConstView in, ConstView rows) {
  checks::scatter_rows(out, in, rows, types_);
  const Tiles tiles = tiled(in.rows, in.cols);
  gpu_.launch("elementary/scatter_rows", tiles.shape, rows_of(out), rows_of(in), indices_of(rows),
              tiles.across);
  written(out);
}

void CudaBackend::add_partials(View out, const float* partial, int64_t count, int64_t pitch) {
  gpu_.launch("elementary/add_partials", {{blocks_for(out.cols, 32)}, {32, kSumLanes}}, rows_of(out), partial,
              count, pitch);
  written(out);
}

void CudaBackend::sum_rows(View out, ConstView in) {
  checks::sum_rows(out, in, types_);
  if (in.rows == 0 || in.cols == 0) return;
  const int64_t band_rows = std::max(kSumRows, blocks_for(in.rows, kMostBands));
  const int64_t bands = blocks_for(in.rows, band_rows), across = blocks_for(in.cols, kSumCols);
  float* partial = sums_.get<float>(bands * in.cols);
  gpu_.launch("elementary/sum_rows", {{bands * across}, {32, kSumLanes}}, rows_of(in), partial, band_rows,
              static_cast<uint32_t>(across));
  add_partials(out, partial, bands, in.cols);
}

void CudaBackend::sum_of_squares(View out, ConstView in_view) {
  checks::sum_of_squares(out, in_view, types_);
  ConstRows in = rows_of(in_view);
  flatten(in);
  const int64_t across = blocks_for(in.cols, kSumTile);
  if (out.cols != 1) {
    return gpu_.launch("elementary/sum_of_squares", {{out.cols}, {kSumThreads}}, in,
                       static_cast<double*>(out.data), across);
  }
  const int64_t blocks = std::min(in.rows * across, kMostSumBlocks);
  double* partial = sums_.get<double>(std::max<int64_t>(blocks, 1));
  gpu_.launch("elementary/sum_of_squares", {{blocks}, {kSumThreads}}, in, partial, across);
  gpu_.launch("elementary/sum_doubles", {{1}, {kSumThreads}}, static_cast<double*>(out.data),
              static_cast<const double*>(partial), blocks);
  written(out);
}

}  // namespace gristmill::runtime::cuda

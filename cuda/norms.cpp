#include <algorithm>

#include "base/error.hpp"
#include "cuda/backend.hpp"

namespace gristmill::runtime::cuda {

namespace {

constexpr int64_t kShortRow = 512, kWarpRows = 8;  // up to here a warp has a row, and a block has eight
constexpr int64_t kBandRows = 32, kMostBands = 512;

Dim3 threads_for(int64_t cols) { return cols <= kShortRow ? Dim3{32, kWarpRows} : Dim3{256}; }

LaunchShape shape_of(const ConstView& in) {
  const Dim3 threads = threads_for(in.cols);
  return {{blocks_for(in.rows, threads.y)}, threads};
}

}  // namespace

void CudaBackend::rmsnorm(View out, View rstd, ConstView in, ConstView weight, double eps) {
  checks::rmsnorm(out, rstd, in, weight, types_);
  gpu_.launch("norms/rmsnorm", shape_of(in), rows_of(out), rows_of(rstd), rows_of(in), rows_of(weight),
              static_cast<float>(eps));
  written(out, rstd);
}

void CudaBackend::layernorm(View out, View moments, ConstView in, ConstView weight, ConstView bias,
                            double eps) {
  checks::layernorm(out, moments, in, weight, bias, types_);
  gpu_.launch("norms/layernorm", shape_of(in), rows_of(out), rows_of(moments), rows_of(in), rows_of(weight),
              rows_of(bias), static_cast<float>(eps));
  written(out, moments);
}

void CudaBackend::norm_backward(const char* kernel, View din, bool accumulate_din, View dweight, View dbias,
                                ConstView dout, ConstView in, ConstView weight, ConstView moments) {
  if (in.rows == 0 || in.cols == 0) return;
  const Dim3 threads = threads_for(in.cols);
  const int64_t sums = dbias ? 2 : 1, pitch = blocks_for(in.cols, 4) * 4;
  const int64_t band_rows = std::max(kBandRows, blocks_for(in.rows, kMostBands));
  const int64_t bands = blocks_for(in.rows, band_rows);
  const int64_t shared = threads.y * sums * pitch * static_cast<int64_t>(sizeof(float));
  float* partial = sums_.get<float>(bands * sums * pitch);
  gpu_.launch(kernel, {{bands}, threads, shared}, rows_of(din), accumulate_din, partial, rows_of(dout),
              rows_of(in), rows_of(weight), rows_of(moments), band_rows, pitch);
  written(din);
  add_partials(dweight, partial, bands, sums * pitch);
  if (dbias) add_partials(dbias, partial + pitch, bands, sums * pitch);
}

void CudaBackend::rmsnorm_backward(View din, bool accumulate_din, View dweight, ConstView dout, ConstView in,
                                   ConstView weight, ConstView rstd) {
  checks::rmsnorm(din, rstd, in, weight, types_);
  checks::rmsnorm(dout, rstd, in, weight, types_);
  checks::norm_gradients("rmsnorm_backward", dweight, {}, in.cols, types_);
  norm_backward("norms/rmsnorm_backward", din, accumulate_din, dweight, {}, dout, in, weight, rstd);
}

void CudaBackend::layernorm_backward(View din, bool accumulate_din, View dweight, View dbias, ConstView dout,
                                     ConstView in, ConstView weight, ConstView moments) {
  checks::layernorm(din, moments, in, weight, weight, types_);
  checks::layernorm(dout, moments, in, weight, weight, types_);
  checks::norm_gradients("layernorm_backward", dweight, dbias, in.cols, types_);
  norm_backward("norms/layernorm_backward", din, accumulate_din, dweight, dbias, dout, in, weight, moments);
}

}  // namespace gristmill::runtime::cuda

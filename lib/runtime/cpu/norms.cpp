// Norms, rotary positions and activations: rows are independent; gradients of weights are summed in blocks of
// kSumRows rows, and the blocks in order, whatever the number of threads.

#include <algorithm>
#include <cmath>
#include <vector>

#include "runtime/checks.hpp"
#include "runtime/cpu/backend.hpp"

namespace gristmill::runtime::cpu {

namespace {

constexpr int64_t kSumRows = 64;
constexpr int64_t kTablePositions = 1 << 20;  // rotary angles beyond are computed one by one

double row_cost(int64_t cols, double nanoseconds) { return static_cast<double>(cols) * nanoseconds; }

/// Rows [first, first + count) of a norm.
NormRows rows_of(NormRows all, int64_t first, int64_t count) {
  all.rows = count;
  all.in += first * all.in_stride;
  all.out += first * all.out_stride;
  all.moments += first * all.moments_stride;
  if (all.dout != nullptr) all.dout += first * all.dout_stride;
  return all;
}

NormRows all_rows(View out, ConstView moments, ConstView in, ConstView weight, double eps) {
  NormRows all;
  all.rows = in.rows;
  all.cols = in.cols;
  all.in = static_cast<const float*>(in.data);
  all.in_stride = in.stride;
  all.weight = static_cast<const float*>(weight.data);
  all.out = static_cast<float*>(out.data);
  all.out_stride = out.stride;
  all.moments = const_cast<float*>(static_cast<const float*>(moments.data));  // the backward only reads them
  all.moments_stride = moments.stride;
  all.eps = eps;
  return all;
}

}  // namespace

void CpuBackend::rmsnorm(View out, View rstd, ConstView in, ConstView weight, double eps) {
  checks::rmsnorm(out, rstd, in, weight, DType::f32);
  const NormRows all = all_rows(out, rstd, in, weight, eps);
  each_block(in.rows, kSumRows, row_cost(in.cols, 0.3),
             [&](int64_t first, int64_t count) { kernels_.rmsnorm(rows_of(all, first, count)); });
}

void CpuBackend::layernorm(View out, View moments, ConstView in, ConstView weight, ConstView bias,
                           double eps) {
  checks::layernorm(out, moments, in, weight, bias, DType::f32);
  NormRows all = all_rows(out, moments, in, weight, eps);
  all.bias = static_cast<const float*>(bias.data);
  each_block(in.rows, kSumRows, row_cost(in.cols, 0.4),
             [&](int64_t first, int64_t count) { kernels_.layernorm(rows_of(all, first, count)); });
}

void CpuBackend::norm_backward(NormRows all, Matrix<float> dweight, Matrix<float> dbias,
                               void (*kernel)(const NormRows&)) {
  const int64_t blocks = (all.rows + kSumRows - 1) / kSumRows, cols = all.cols;
  sums_.assign(static_cast<size_t>(2 * (blocks + 1) * cols), 0.0F);
  each_block(all.rows, kSumRows, row_cost(cols, 0.6), [&](int64_t first, int64_t count) {
    NormRows rows = rows_of(all, first, count);
    rows.weight_sums = sums_.data() + 2 * (first / kSumRows) * cols;
    rows.bias_sums = dbias ? rows.weight_sums + cols : nullptr;
    kernel(rows);
  });
  float* total = sums_.data() + 2 * blocks * cols;
  for (int64_t b = 0; b < blocks; ++b) kernels_.axpy(total, 1.0F, sums_.data() + 2 * b * cols, 2 * cols);
  kernels_.axpy(dweight.data, 1.0F, total, cols);
  if (dbias) kernels_.axpy(dbias.data, 1.0F, total + cols, cols);
}

void CpuBackend::rmsnorm_backward(View din, bool accumulate_din, View dweight, ConstView dout, ConstView in,
                                  ConstView weight, ConstView rstd) {
  checks::rmsnorm(din, rstd, in, weight, DType::f32);
  checks::rmsnorm(dout, rstd, in, dweight, DType::f32);
  NormRows all = all_rows(din, rstd, in, weight, 0);
  all.dout = static_cast<const float*>(dout.data);
  all.dout_stride = dout.stride;
  all.accumulate = accumulate_din;
  norm_backward(all, dweight, {}, kernels_.rmsnorm_backward);
}

void CpuBackend::layernorm_backward(View din, bool accumulate_din, View dweight, View dbias, ConstView dout,
                                    ConstView in, ConstView weight, ConstView moments) {
  checks::layernorm(din, moments, in, weight, dbias, DType::f32);
  checks::layernorm(dout, moments, in, dweight, dbias, DType::f32);
  NormRows all = all_rows(din, moments, in, weight, 0);
  all.dout = static_cast<const float*>(dout.data);
  all.dout_stride = dout.stride;
  all.accumulate = accumulate_din;
  norm_backward(all, dweight, dbias, kernels_.layernorm_backward);
}

void CpuBackend::rotary_table(Matrix<const int32_t> positions, Matrix<const float> inverse_frequency) {
  const auto half = static_cast<size_t>(inverse_frequency.cols);
  if (!std::equal(frequencies_.begin(), frequencies_.end(), inverse_frequency.data,
                  inverse_frequency.data + half)) {
    frequencies_.assign(inverse_frequency.data, inverse_frequency.data + half);
    cosines_.clear();
    sines_.clear();
  }
  int64_t needed = 0;
  for (int64_t t = 0; t < positions.rows; ++t) {
    const int64_t position = positions.at(t, 0);
    if (position < kTablePositions) needed = std::max(needed, position + 1);
  }
  for (size_t position = cosines_.size() / half; position < static_cast<size_t>(needed); ++position) {
    for (const float frequency : frequencies_) {
      const double angle = static_cast<double>(position) * static_cast<double>(frequency);
      cosines_.push_back(static_cast<float>(std::cos(angle)));
      sines_.push_back(static_cast<float>(std::sin(angle)));
    }
  }
}

void CpuBackend::rotary(View x_view, ConstView positions_view, ConstView inverse_frequency, int64_t heads,
                        int64_t head_dim, bool inverse) {
  checks::rotary(x_view, positions_view, inverse_frequency, heads, head_dim, DType::f32);
  const Matrix<float> x(x_view);
  const Matrix<const int32_t> positions(positions_view);
  rotary_table(positions, inverse_frequency);
  const int64_t half = head_dim / 2;
  each_row(x.rows, row_cost(x.cols, 0.3), [&](int64_t t) {
    const int64_t position = positions.at(t, 0);
    const float* cosines = cosines_.data() + position * half;
    const float* sines = sines_.data() + position * half;
    if (position < 0 || position >= kTablePositions) {
      float* own = thread_scratch(head_dim);
      for (int64_t i = 0; i < half; ++i) {
        const double angle =
            static_cast<double>(position) * static_cast<double>(frequencies_[static_cast<size_t>(i)]);
        own[i] = static_cast<float>(std::cos(angle));
        own[half + i] = static_cast<float>(std::sin(angle));
      }
      cosines = own;
      sines = own + half;
    }
    kernels_.rotary(x.row(t), cosines, sines, inverse ? -1.0F : 1.0F, heads, head_dim);
  });
}

void CpuBackend::swiglu(View out_view, ConstView gate_up_view) {
  checks::swiglu(out_view, gate_up_view, DType::f32);
  const Matrix<float> out(out_view);
  const Matrix<const float> gate_up(gate_up_view);
  each_row(out.rows, row_cost(out.cols, 0.5), [&](int64_t t) {
    kernels_.swiglu(out.row(t), gate_up.row(t), gate_up.row(t) + out.cols, out.cols);
  });
}

void CpuBackend::swiglu_backward(View dgate_up_view, ConstView dout_view, ConstView gate_up_view) {
  checks::swiglu(dout_view, gate_up_view, DType::f32);
  checks::swiglu(dout_view, dgate_up_view, DType::f32);
  const Matrix<float> dgate_up(dgate_up_view);
  const Matrix<const float> dout(dout_view), gate_up(gate_up_view);
  each_row(dout.rows, row_cost(dout.cols, 0.7), [&](int64_t t) {
    kernels_.swiglu_backward(dgate_up.row(t), dgate_up.row(t) + dout.cols, dout.row(t), gate_up.row(t),
                             gate_up.row(t) + dout.cols, dout.cols);
  });
}

void CpuBackend::gelu(View out_view, ConstView in_view) {
  checks::same_shape("gelu", out_view, in_view, DType::f32);
  const Matrix<float> out(out_view);
  const Matrix<const float> in(in_view);
  each_row(in.rows, row_cost(in.cols, 0.5),
           [&](int64_t t) { kernels_.gelu(out.row(t), in.row(t), in.cols); });
}

void CpuBackend::gelu_backward(View din_view, ConstView dout_view, ConstView in_view) {
  checks::same_shape("gelu_backward", din_view, in_view, DType::f32);
  checks::same_shape("gelu_backward", dout_view, in_view, DType::f32);
  const Matrix<float> din(din_view);
  const Matrix<const float> dout(dout_view), in(in_view);
  each_row(in.rows, row_cost(in.cols, 0.7),
           [&](int64_t t) { kernels_.gelu_backward(din.row(t), dout.row(t), in.row(t), in.cols); });
}

}  // namespace gristmill::runtime::cpu

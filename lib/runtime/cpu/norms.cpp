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
constexpr int64_t kNarrowRows = 8;  // rows that are widened at once: they stay in the first-level cache
constexpr int64_t kTablePositions = 1 << 20;  // rotary angles beyond are computed one by one

double row_cost(int64_t cols, double nanoseconds) { return static_cast<double>(cols) * nanoseconds; }

}  // namespace

NormRows CpuBackend::norm_of(ConstView moments, ConstView weight, ConstView bias, double eps) {
  NormRows all;
  all.cols = weight.cols;
  all.weight = floats_of(weight, norm_weight_);
  all.bias = floats_of(bias, norm_bias_);
  all.moments = const_cast<float*>(static_cast<const float*>(moments.data));  // the backward only reads them
  all.moments_stride = moments.stride;
  all.rows = moments.rows;
  all.eps = eps;
  return all;
}

void CpuBackend::norm_forward(NormRows all, const WritableRows& out, const ComputedRows& in,
                              void (*kernel)(const NormRows&)) {
  const int64_t cols = all.cols, block = in.narrow() || out.narrow() ? kNarrowRows : kSumRows;
  each_block(all.rows, block, row_cost(cols, 0.4), [&](int64_t first, int64_t count) {
    NormRows rows = all;
    float* scratch = thread_scratch(2 * count * cols);
    const auto source = in.read(first, count, 0, cols, scratch);
    const auto target = out.room(first, 0, cols, scratch + count * cols);
    rows.rows = count;
    rows.in = source.data;
    rows.in_stride = source.stride;
    rows.out = target.data;
    rows.out_stride = target.stride;
    rows.moments += first * rows.moments_stride;
    kernel(rows);
    out.put(first, count, 0, cols, target.data);
  });
}

void CpuBackend::rmsnorm(View out, View rstd, ConstView in, ConstView weight, double eps) {
  checks::rmsnorm(out, rstd, in, weight, types_);
  norm_forward(norm_of(rstd, weight, {}, eps), computed(out), computed(in), kernels_.rmsnorm);
  written(out, rstd);
}

void CpuBackend::layernorm(View out, View moments, ConstView in, ConstView weight, ConstView bias,
                           double eps) {
  checks::layernorm(out, moments, in, weight, bias, types_);
  norm_forward(norm_of(moments, weight, bias, eps), computed(out), computed(in), kernels_.layernorm);
  written(out, moments);
}

void CpuBackend::norm_backward(NormRows all, const WritableRows& din, const ComputedRows& dout,
                               const ComputedRows& in, Matrix<float> dweight, Matrix<float> dbias,
                               void (*kernel)(const NormRows&)) {
  const int64_t blocks = (all.rows + kSumRows - 1) / kSumRows, cols = all.cols;
  sums_.assign(static_cast<size_t>(2 * (blocks + 1) * cols), 0.0F);
  each_block(all.rows, kSumRows, row_cost(cols, 0.6), [&](int64_t first, int64_t count) {
    NormRows rows = all;
    const int64_t size = count * cols;
    float* scratch = thread_scratch(3 * size);
    const auto source = in.read(first, count, 0, cols, scratch);
    const auto upstream = dout.read(first, count, 0, cols, scratch + size);
    const auto target = din.room(first, 0, cols, scratch + 2 * size);
    if (all.accumulate) din.read(first, count, 0, cols, target.data);  // widens what is there, if it is bf16
    rows.rows = count;
    rows.in = source.data;
    rows.in_stride = source.stride;
    rows.dout = upstream.data;
    rows.dout_stride = upstream.stride;
    rows.out = target.data;
    rows.out_stride = target.stride;
    rows.moments += first * rows.moments_stride;
    rows.weight_sums = sums_.data() + 2 * (first / kSumRows) * cols;
    rows.bias_sums = dbias ? rows.weight_sums + cols : nullptr;
    kernel(rows);
    din.put(first, count, 0, cols, target.data);
  });
  float* total = sums_.data() + 2 * blocks * cols;
  for (int64_t b = 0; b < blocks; ++b) kernels_.axpy(total, 1.0F, sums_.data() + 2 * b * cols, 2 * cols);
  kernels_.axpy(dweight.data, 1.0F, total, cols);
  if (dbias) kernels_.axpy(dbias.data, 1.0F, total + cols, cols);
}

void CpuBackend::rmsnorm_backward(View din, bool accumulate_din, View dweight, ConstView dout, ConstView in,
                                  ConstView weight, ConstView rstd) {
  checks::rmsnorm(din, rstd, in, weight, types_);
  checks::rmsnorm(dout, rstd, in, weight, types_);
  checks::norm_gradients("rmsnorm_backward", dweight, {}, in.cols, types_);
  NormRows all = norm_of(rstd, weight, {}, 0);
  all.accumulate = accumulate_din;
  norm_backward(all, computed(din), computed(dout), computed(in), dweight, {}, kernels_.rmsnorm_backward);
  written(din, dweight);
}

void CpuBackend::layernorm_backward(View din, bool accumulate_din, View dweight, View dbias, ConstView dout,
                                    ConstView in, ConstView weight, ConstView moments) {
  checks::layernorm(din, moments, in, weight, weight, types_);
  checks::layernorm(dout, moments, in, weight, weight, types_);
  checks::norm_gradients("layernorm_backward", dweight, dbias, in.cols, types_);
  NormRows all = norm_of(moments, weight, {}, 0);
  all.accumulate = accumulate_din;
  norm_backward(all, computed(din), computed(dout), computed(in), dweight, dbias,
                kernels_.layernorm_backward);
  written(din, dweight, dbias);
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
  checks::rotary(x_view, positions_view, inverse_frequency, heads, head_dim, types_);
  const WritableRows x = computed(x_view);
  const Matrix<const int32_t> positions(positions_view);
  rotary_table(positions, inverse_frequency);
  const int64_t half = head_dim / 2;
  each_row(x_view.rows, row_cost(x_view.cols, 0.3), [&](int64_t t) {
    float* scratch = thread_scratch(x.cols() + head_dim);
    const int64_t position = positions.at(t, 0);
    const float* cosines = cosines_.data() + position * half;
    const float* sines = sines_.data() + position * half;
    if (position < 0 || position >= kTablePositions) {
      float* own = scratch + x.cols();
      for (int64_t i = 0; i < half; ++i) {
        const double angle =
            static_cast<double>(position) * static_cast<double>(frequencies_[static_cast<size_t>(i)]);
        own[i] = static_cast<float>(std::cos(angle));
        own[half + i] = static_cast<float>(std::sin(angle));
      }
      cosines = own;
      sines = own + half;
    }
    float* row = x.room(t, scratch);
    x.read(t, row);
    kernels_.rotary(row, cosines, sines, inverse ? -1.0F : 1.0F, heads, head_dim);
    x.put(t, row);
  });
  written(x_view);
}

void CpuBackend::swiglu(View out_view, ConstView gate_up_view) {
  checks::swiglu(out_view, gate_up_view, types_);
  const WritableRows out = computed(out_view);
  const ComputedRows gate_up = computed(gate_up_view);
  const int64_t cols = out_view.cols;
  each_row(out_view.rows, row_cost(cols, 0.5), [&](int64_t t) {
    float* scratch = thread_scratch(3 * cols);
    const float* gate = gate_up.read(t, scratch);
    float* result = out.room(t, scratch + 2 * cols);
    kernels_.swiglu(result, gate, gate + cols, cols);
    out.put(t, result);
  });
  written(out_view);
}

void CpuBackend::swiglu_backward(View dgate_up_view, ConstView dout_view, ConstView gate_up_view) {
  checks::swiglu(dout_view, gate_up_view, types_);
  checks::swiglu(dout_view, dgate_up_view, types_);
  const WritableRows dgate_up = computed(dgate_up_view);
  const ComputedRows dout = computed(dout_view), gate_up = computed(gate_up_view);
  const int64_t cols = dout_view.cols;
  each_row(dout_view.rows, row_cost(cols, 0.7), [&](int64_t t) {
    float* scratch = thread_scratch(5 * cols);
    const float* gate = gate_up.read(t, scratch);
    const float* upstream = dout.read(t, scratch + 2 * cols);
    float* result = dgate_up.room(t, scratch + 3 * cols);
    kernels_.swiglu_backward(result, result + cols, upstream, gate, gate + cols, cols);
    dgate_up.put(t, result);
  });
  written(dgate_up_view);
}

void CpuBackend::gelu(View out_view, ConstView in_view) {
  checks::same_shape_computed("gelu", out_view, in_view, types_);
  const WritableRows out = computed(out_view);
  const ComputedRows in = computed(in_view);
  const int64_t cols = in_view.cols;
  each_row(in_view.rows, row_cost(cols, 0.5), [&](int64_t t) {
    float* scratch = thread_scratch(2 * cols);
    float* result = out.room(t, scratch + cols);
    kernels_.gelu(result, in.read(t, scratch), cols);
    out.put(t, result);
  });
  written(out_view);
}

void CpuBackend::gelu_backward(View din_view, ConstView dout_view, ConstView in_view) {
  checks::same_shape_computed("gelu_backward", din_view, in_view, types_);
  checks::same_shape_computed("gelu_backward", dout_view, in_view, types_);
  const WritableRows din = computed(din_view);
  const ComputedRows dout = computed(dout_view), in = computed(in_view);
  const int64_t cols = in_view.cols;
  each_row(in_view.rows, row_cost(cols, 0.7), [&](int64_t t) {
    float* scratch = thread_scratch(3 * cols);
    float* result = din.room(t, scratch + 2 * cols);
    kernels_.gelu_backward(result, dout.read(t, scratch), in.read(t, scratch + cols), cols);
    din.put(t, result);
  });
  written(din_view);
}

}  // namespace gristmill::runtime::cpu

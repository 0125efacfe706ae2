// The mixture of experts on the CPU: each token's choice and each row on some thread, the order of rows on
// one; the products of the experts one after another, each split over all threads.

#include <algorithm>

#include "runtime/checks.hpp"
#include "runtime/cpu/backend.hpp"
#include "runtime/reference/experts.hpp"

namespace gristmill::runtime::cpu {

namespace {

/// Eight chains of sums side by side, whatever the instruction set.
float dot(const float* a, const float* b, int64_t size) {
  constexpr int64_t kChains = 8;
  float sums[kChains] = {};
  int64_t i = 0;
  for (; i + kChains <= size; i += kChains) {
    for (int64_t c = 0; c < kChains; ++c) sums[c] += a[i + c] * b[i + c];
  }
  for (int64_t c = 0; i < size; ++i, ++c) sums[c] += a[i] * b[i];
  return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}

}  // namespace

void CpuBackend::route(const Routing& out, ConstView logits_view) {
  checks::route(out, logits_view, types_);
  const Matrix<const float> logits(logits_view);
  const Matrix<float> probabilities(out.probabilities), lse(out.lse), weights(out.weights);
  const Matrix<int32_t> experts(out.experts);
  each_row(logits.rows, static_cast<double>(logits.cols * (20 + experts.cols)), [&](int64_t t) {
    reference::route_row<float>(probabilities.row(t), lse.row(t), experts.row(t), weights.row(t),
                                logits.row(t), logits.cols, experts.cols);
  });
  reference::order_by_expert(out.offsets, out.tokens, out.places, ConstView(out.experts));
  reference::sum_routing<float>(out);
  written(out.probabilities, out.lse, out.experts, out.weights, out.offsets, out.tokens, out.places);
  written(out.load, out.mass);
}

void CpuBackend::route_backward(View dlogits_view, ConstView dweights_view, const Routing& routing,
                                const RouterGradients& gradients) {
  checks::route_gradients(dlogits_view, dweights_view, routing, gradients, types_);
  const Matrix<float> dlogits(dlogits_view), probabilities(routing.probabilities), lse(routing.lse),
      weights(routing.weights);
  const Matrix<const float> dweights(dweights_view), load(gradients.load);
  const Matrix<int32_t> experts(routing.experts);
  each_row(dlogits.rows, static_cast<double>(dlogits.cols * (2 + experts.cols)), [&](int64_t t) {
    reference::route_row_backward<float>(dlogits.row(t), dweights.row(t), probabilities.row(t), lse.at(t, 0),
                                         experts.row(t), weights.row(t), load.data, dlogits.cols,
                                         dweights.cols, gradients);
  });
  written(dlogits_view);
}

// Whether panels are kept is decided by all rows together, so that it does not depend on how tokens fall.
void CpuBackend::grouped_matmul(const GroupedMatmul& args) {
  checks::grouped_matmul(args, types_);
  reference::each_expert(
      "grouped_matmul", args.offsets, args.a.rows, [&](int64_t e, int64_t first, int64_t rows) {
        const Matmul one = reference::expert_product(args, e, first, rows);
        product(one, args.keep_b ? kept_panels(one.b, one.transpose_b, args.a.rows) : nullptr);
      });
  written(args.out);
}

void CpuBackend::grouped_matmul_gradient(View dweight, int64_t expert_stride, ConstView dout, ConstView a,
                                         ConstView offsets) {
  checks::grouped_matmul_gradient(dweight, expert_stride, dout, a, offsets, types_);
  reference::each_expert(
      "grouped_matmul_gradient", offsets, a.rows, [&](int64_t e, int64_t first, int64_t rows) {
        const Matmul one = reference::expert_gradient(dweight, expert_stride, dout, a, e, first, rows);
        product(one, nullptr);
        written(one.out);
      });
}

void CpuBackend::combine_rows(View out_view, ConstView in_view, ConstView weights_view, ConstView places_view,
                              ConstView residual_view) {
  checks::combine_rows(out_view, in_view, weights_view, places_view, residual_view, types_);
  const WritableRows out = computed(out_view);
  const ComputedRows in = computed(in_view), residual = computed(residual_view);
  const Matrix<const float> weights(weights_view);
  const Matrix<const int32_t> places(places_view);
  const int64_t cols = out_view.cols;
  each_row(out_view.rows, 0.4 * static_cast<double>(cols * (places.cols + 1)), [&](int64_t t) {
    float* sum = thread_scratch(2 * cols);
    float* row = sum + cols;
    std::fill_n(sum, cols, 0.0F);
    for (int64_t k = 0; k < places.cols; ++k) {
      const int64_t place = places.at(t, k);
      checks::index("combine_rows", place, in_view.rows);
      kernels_.axpy(sum, weights ? weights.at(t, k) : 1.0F, in.read(place, row), cols);
    }
    if (residual_view) kernels_.axpy(sum, 1.0F, residual.read(t, row), cols);
    out.write(t, sum);
  });
  written(out_view);
}

void CpuBackend::combine_rows_backward(View din_view, View dweights_view, ConstView dout_view,
                                       ConstView in_view, ConstView weights_view, ConstView places_view) {
  checks::combine_rows_gradients(din_view, dweights_view, dout_view, in_view, weights_view, places_view,
                                 types_);
  const WritableRows din = computed(din_view);
  const ComputedRows dout = computed(dout_view), in = computed(in_view);
  const Matrix<float> dweights(dweights_view);
  const Matrix<const float> weights(weights_view);
  const Matrix<const int32_t> places(places_view);
  const int64_t cols = dout_view.cols;
  each_row(dout_view.rows, 0.8 * static_cast<double>(cols * places.cols), [&](int64_t t) {
    float* scratch = thread_scratch(2 * cols);
    const float* upstream = dout.read(t, scratch);
    for (int64_t k = 0; k < places.cols; ++k) {
      const int64_t place = places.at(t, k);
      checks::index("combine_rows_backward", place, in_view.rows);
      dweights.at(t, k) = dot(upstream, in.read(place, scratch + cols), cols);
      float* row = din.room(place, scratch + cols);
      const float weight = weights.at(t, k);
      for (int64_t c = 0; c < cols; ++c) row[c] = weight * upstream[c];
      din.put(place, row);
    }
  });
  written(din_view, dweights_view);
}

}  // namespace gristmill::runtime::cpu

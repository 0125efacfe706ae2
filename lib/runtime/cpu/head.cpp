// The language-model head in chunks of rows whose logits fit the last-level cache. The weight is packed once
// a call; the weight's gradient is finished in scratch over all chunks before it is added. The formulas are
// in reference/head.hpp.

#include <algorithm>
#include <cmath>
#include <vector>

#include "runtime/checks.hpp"
#include "runtime/cpu/backend.hpp"

namespace gristmill::runtime::cpu {

namespace {

/// Rows of a chunk: a function of the vocabulary alone, for the sum over chunks must not depend on the
/// machine.
int64_t chunk_rows(int64_t vocabulary) {
  return std::clamp<int64_t>((int64_t{1} << 21) / std::max<int64_t>(vocabulary, 1), 48, 384);
}

float at(const ConstView& view, int64_t r) { return view ? Matrix<const float>(view).at(r, 0) : 0.0F; }

Matrix<float> chunk_logits(std::vector<float>& memory, int64_t rows, int64_t cols) {
  if (memory.size() < static_cast<size_t>(rows * cols)) memory.resize(static_cast<size_t>(rows * cols));
  return Matrix<float>(View(memory.data(), DType::f32, rows, cols));
}

}  // namespace

void CpuBackend::head_chunk_values(const HeadValues& values, Matrix<float> logits, int64_t first,
                                   Matrix<const int32_t> targets, float scale,
                                   const HeadGradients* gradients) {
  each_row(logits.rows, static_cast<double>(logits.cols), [&](int64_t i) {
    const int64_t r = first + i, target = targets.at(r, 0);
    float* row = logits.row(i);
    const SoftmaxMoments moments = kernels_.softmax_moments(row, scale, logits.cols);
    const double lse = static_cast<double>(moments.highest) + std::log(moments.total);
    const double mean = static_cast<double>(moments.highest) + moments.weighted / moments.total;
    const double logit = static_cast<double>(row[target] * scale);
    if (values.log_prob) Matrix<float>(values.log_prob).at(r, 0) = static_cast<float>(logit - lse);
    if (values.lse) Matrix<float>(values.lse).at(r, 0) = static_cast<float>(lse);
    if (values.entropy) Matrix<float>(values.entropy).at(r, 0) = static_cast<float>(lse - mean);
    if (gradients == nullptr) return;
    const float g_log_prob = at(gradients->log_prob, r), g_entropy = at(gradients->entropy, r);
    const float by_mass = at(gradients->lse, r) - g_log_prob + g_entropy * static_cast<float>(mean);
    kernels_.softmax_gradient(row, {scale, static_cast<float>(lse), by_mass, g_entropy}, logits.cols);
    row[target] += g_log_prob * scale;
  });
}

void CpuBackend::head(const HeadValues& values, ConstView hidden, ConstView weight, ConstView targets_view,
                      double logit_scale) {
  checks::head(values, hidden, weight, targets_view, DType::f32);
  const Matrix<const int32_t> targets(targets_view);
  for (int64_t r = 0; r < targets.rows; ++r) checks::index("head: targets", targets.at(r, 0), weight.rows);
  if (hidden.rows == 0) return;
  const int64_t chunk = chunk_rows(weight.rows);
  const float* packed = hidden.rows > 64 ? pack(packed_too_, weight, true) : nullptr;
  for (int64_t first = 0; first < hidden.rows; first += chunk) {
    const int64_t rows = std::min(chunk, hidden.rows - first);
    const auto logits = chunk_logits(logits_, rows, weight.rows);
    Product product_args{logits, hidden.row_range(first, rows), weight, false, true, false, {}, {}, packed};
    product(product_args);
    head_chunk_values(values, logits, first, targets, static_cast<float>(logit_scale), nullptr);
  }
}

void CpuBackend::head_backward(View dhidden, View dweight, const HeadValues& values, ConstView hidden,
                               ConstView weight, ConstView targets_view, const HeadGradients& gradients,
                               double logit_scale) {
  checks::head(values, hidden, weight, targets_view, DType::f32);
  checks::head_gradients(dhidden, dweight, gradients, hidden, weight, DType::f32);
  const Matrix<const int32_t> targets(targets_view);
  for (int64_t r = 0; r < targets.rows; ++r) checks::index("head: targets", targets.at(r, 0), weight.rows);
  if (hidden.rows == 0) return;
  const int64_t chunk = chunk_rows(weight.rows);
  std::vector<float> packed_rows, packed_cols, sums(static_cast<size_t>(weight.size()));
  const bool packs = hidden.rows > 64;
  const float* by_rows = packs ? pack(packed_rows, weight, true) : nullptr;
  const float* by_cols = packs ? pack(packed_cols, weight, false) : nullptr;
  const Matrix<float> weight_sums(View(sums.data(), DType::f32, weight.rows, weight.cols));
  for (int64_t first = 0; first < hidden.rows; first += chunk) {
    const int64_t rows = std::min(chunk, hidden.rows - first);
    const auto logits = chunk_logits(logits_, rows, weight.rows);
    const Matrix<const float> gradient(ConstView(View(logits.data, DType::f32, rows, weight.rows)));
    product({logits, hidden.row_range(first, rows), weight, false, true, false, {}, {}, by_rows});
    head_chunk_values(values, logits, first, targets, static_cast<float>(logit_scale), &gradients);
    product({dhidden.row_range(first, rows), gradient, weight, false, false, false, {}, {}, by_cols});
    product({weight_sums, gradient, hidden.row_range(first, rows), true, false, first > 0, {}, {}, nullptr});
  }
  const Matrix<float> out(dweight);
  each_row(out.rows, 0.3 * static_cast<double>(out.cols),
           [&](int64_t r) { kernels_.axpy(out.row(r), 1.0F, weight_sums.row(r), out.cols); });
}

}  // namespace gristmill::runtime::cpu

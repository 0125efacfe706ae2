// The language-model head in chunks of rows, large enough that the products over a chunk run at full speed.
// The weight is packed once a call, or kept packed; its gradient is finished over all chunks before it is
// added, in scratch unless it is the first. The formulas are in reference/head.hpp.

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
  return std::clamp<int64_t>((int64_t{1} << 24) / std::max<int64_t>(vocabulary, 1), 96, 384);
}

constexpr int64_t kFewRows = 64;

float at(const ConstView& view, int64_t r) { return view ? Matrix<const float>(view).at(r, 0) : 0.0F; }

View chunk_logits(std::vector<float>& memory, int64_t rows, int64_t cols) {
  if (memory.size() < static_cast<size_t>(rows * cols)) memory.resize(static_cast<size_t>(rows * cols));
  return View(memory.data(), DType::f32, rows, cols);
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

const float* CpuBackend::head_panels(std::vector<float>& memory, ConstView weight, bool transposed,
                                     int64_t rows) {
  const float* kept = kept_panels(weight, transposed, rows);
  if (weight.dtype == DType::i8) return nullptr;
  return kept != nullptr || rows <= kFewRows ? kept : pack_once(memory, weight, transposed);
}

void CpuBackend::head(const HeadValues& values, ConstView hidden, ConstView weight, ConstView targets_view,
                      double logit_scale) {
  checks::head(values, hidden, weight, targets_view, types_);
  const Matrix<const int32_t> targets(targets_view);
  for (int64_t r = 0; r < targets.rows; ++r) checks::index("head: targets", targets.at(r, 0), weight.rows);
  if (hidden.rows == 0) return;
  const int64_t chunk = chunk_rows(weight.rows);
  const float* packed = head_panels(packed_too_, weight, true, hidden.rows);
  for (int64_t first = 0; first < hidden.rows; first += chunk) {
    const int64_t rows = std::min(chunk, hidden.rows - first);
    const View logits = chunk_logits(logits_, rows, weight.rows);
    product({logits, hidden.row_range(first, rows), false, weight, true, false, true, {}, {}}, packed);
    head_chunk_values(values, logits, first, targets, static_cast<float>(logit_scale), nullptr);
  }
  written(values.log_prob, values.lse, values.entropy);
}

void CpuBackend::head_backward(View dhidden, bool accumulate_dweight, View dweight, const HeadValues& values,
                               ConstView hidden, ConstView weight, ConstView targets_view,
                               const HeadGradients& gradients, double logit_scale) {
  checks::head(values, hidden, weight, targets_view, types_);
  checks::head_gradients(dhidden, dweight, gradients, hidden, weight, types_);
  const Matrix<const int32_t> targets(targets_view);
  for (int64_t r = 0; r < targets.rows; ++r) checks::index("head: targets", targets.at(r, 0), weight.rows);
  if (hidden.rows == 0) return accumulate_dweight ? void() : fill(dweight, 0);
  const int64_t chunk = chunk_rows(weight.rows);
  const float* by_rows = head_panels(packed_too_, weight, true, hidden.rows);
  const float* by_cols = head_panels(packed_cols_, weight, false, hidden.rows);
  // The sum of one chunk is finished when it is added, and that of many where nothing was before.
  const bool direct = !accumulate_dweight || hidden.rows <= chunk;
  const auto size = static_cast<size_t>(weight.size());
  if (!direct && head_sums_.size() < size) head_sums_.resize(size);
  const View sums = direct ? dweight : View(head_sums_.data(), DType::f32, weight.rows, weight.cols);
  for (int64_t first = 0; first < hidden.rows; first += chunk) {
    const int64_t rows = std::min(chunk, hidden.rows - first);
    const View logits = chunk_logits(logits_, rows, weight.rows);
    const ConstView some = hidden.row_range(first, rows);
    product({logits, some, false, weight, true, false, true, {}, {}}, by_rows);
    head_chunk_values(values, logits, first, targets, static_cast<float>(logit_scale), &gradients);
    product({dhidden.row_range(first, rows), logits, false, weight, false, false, true, {}, {}}, by_cols);
    const bool adds = first > 0 || (direct && accumulate_dweight);
    product({sums, logits, true, some, false, adds, false, {}, {}}, nullptr);
  }
  written(dhidden, dweight, values.log_prob, values.lse, values.entropy);
  if (direct) return;
  const Matrix<float> out(dweight), finished(sums);
  each_row(out.rows, 0.3 * static_cast<double>(out.cols),
           [&](int64_t r) { kernels_.axpy(out.row(r), 1.0F, finished.row(r), out.cols); });
}

}  // namespace gristmill::runtime::cpu

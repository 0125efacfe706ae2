#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <vector>

#include "runtime/bfloat16.hpp"
#include "runtime/checks.hpp"
#include "runtime/cpu/backend.hpp"
#include "runtime/reference/sampling.hpp"

namespace gristmill::runtime::cpu {

namespace {

constexpr int64_t kSumRows = 64;  // rows of one partial sum

/// Rows without gaps between them, of all matrices, are one long row: element-wise work then splits evenly.
template <class... Matrices>
void flatten(Matrices&... matrices) {
  if (((matrices.stride != matrices.cols) || ...)) return;
  const auto one = [](auto& m) {
    m.cols = m.stride = m.rows * m.cols;
    m.rows = m.cols > 0 ? 1 : 0;
  };
  (one(matrices), ...);
}

char* row_of(const View& view, int64_t r) { return static_cast<char*>(view.row_range(r, 1).data); }
const char* row_of(const ConstView& view, int64_t r) {
  return static_cast<const char*>(view.row_range(r, 1).data);
}
size_t row_bytes(const ConstView& view) { return static_cast<size_t>(view.cols) * size_of(view.dtype); }

/// Row `from` of in to row `to` of out, of one type.
void copy_row(const View& out, int64_t to, const ConstView& in, int64_t from) {
  if (in.cols > 0) std::memmove(row_of(out, to), row_of(in, from), row_bytes(in));
}

double row_cost(int64_t cols, double nanoseconds) { return static_cast<double>(cols) * nanoseconds; }

}  // namespace

void CpuBackend::fill(View out_view, double value) {
  checks::fill(out_view, DType::f32);
  Matrix<float> out(out_view);
  flatten(out);
  each_run(out.rows, out.cols, 0.1, [&](int64_t r, int64_t first, int64_t count) {
    std::fill_n(out.row(r) + first, count, static_cast<float>(value));
  });
  written(out_view);
}

void CpuBackend::copy(View out, ConstView in) {
  if (in.dtype == DType::i32 && out.dtype == DType::i32) {
    checks::same_shape("copy", out, in, DType::i32);
  } else {
    checks::same_shape_computed("copy", out, in, types_);
  }
  each_row(in.rows, row_cost(in.cols, 0.2), [&](int64_t r) {
    if (in.dtype == out.dtype) return copy_row(out, r, in, r);
    if (in.dtype == DType::bf16) {
      computed(in).read(r, Matrix<float>(out).row(r));
    } else {
      computed(out).put(r, Matrix<const float>(in).row(r));
    }
  });
  written(out);
}

void CpuBackend::axpy(View out_view, double scale, ConstView in_view) {
  checks::same_shape("axpy", out_view, in_view, DType::f32);
  Matrix<float> out(out_view);
  Matrix<const float> in(in_view);
  flatten(out, in);
  each_run(in.rows, in.cols, 0.3, [&](int64_t r, int64_t first, int64_t count) {
    kernels_.axpy(out.row(r) + first, static_cast<float>(scale), in.row(r) + first, count);
  });
  written(out_view);
}

void CpuBackend::gather_rows(View out, ConstView in, ConstView rows_view) {
  checks::gather_rows(out, in, rows_view, types_);
  const Matrix<const int32_t> rows(rows_view);
  each_row(rows.rows, row_cost(in.cols, 0.2), [&](int64_t r) {
    checks::index("gather_rows", rows.at(r, 0), in.rows);
    copy_row(out, r, in, rows.at(r, 0));
  });
  written(out);
}

void CpuBackend::scatter_rows(View out, ConstView in, ConstView rows_view) {
  checks::scatter_rows(out, in, rows_view, types_);
  const Matrix<const int32_t> rows(rows_view);
  each_row(rows.rows, row_cost(in.cols, 0.2), [&](int64_t r) {
    checks::index("scatter_rows", rows.at(r, 0), out.rows);
    copy_row(out, rows.at(r, 0), in, r);
  });
  written(out);
}

void CpuBackend::sum_rows(View out_view, ConstView in_view) {
  checks::sum_rows(out_view, in_view, types_);
  const Matrix<float> out(out_view);
  const ComputedRows in = computed(in_view);
  const int64_t rows = in_view.rows, cols = in_view.cols, blocks = (rows + kSumRows - 1) / kSumRows;
  sums_.assign(static_cast<size_t>((blocks + 1) * cols), 0.0F);
  each_block(rows, kSumRows, row_cost(cols, 0.2), [&](int64_t first, int64_t count) {
    float* sum = sums_.data() + (first / kSumRows) * cols;
    float* scratch = thread_scratch(cols);
    for (int64_t r = first; r < first + count; ++r) kernels_.axpy(sum, 1.0F, in.read(r, scratch), cols);
  });
  float* total = sums_.data() + blocks * cols;
  for (int64_t b = 0; b < blocks; ++b) kernels_.axpy(total, 1.0F, sums_.data() + b * cols, cols);
  kernels_.axpy(out.data, 1.0F, total, cols);
  written(out_view);
}

void CpuBackend::sum_of_squares(View out, ConstView in_view) {
  checks::sum_of_squares(out, in_view, types_);
  const bool dense = in_view.stride == in_view.cols && in_view.size() > 0;
  const ConstView all = dense ? in_view.reshaped(1, in_view.size()) : in_view;
  const ComputedRows in = computed(all);
  const int64_t across = (all.cols + kSquaresBlock - 1) / kSquaresBlock;
  std::vector<double> sums(static_cast<size_t>(all.rows * across));
  each_block(all.rows * across, 1, row_cost(std::min(all.cols, kSquaresBlock), 0.2), [&](int64_t i, int64_t) {
    const int64_t col = i % across * kSquaresBlock, count = std::min(kSquaresBlock, all.cols - col);
    const float* run = in.read(i / across, 1, col, count, thread_scratch(kSquaresBlock)).data;
    sums[static_cast<size_t>(i)] = kernels_.sum_of_squares(run, count);
  });
  const Matrix<double> to(out);
  if (out.cols == 1) {
    to.at(0, 0) = std::accumulate(sums.begin(), sums.end(), 0.0);
  } else {
    std::copy(sums.begin(), sums.end(), to.row(0));
  }
  written(out);
}

const float* CpuBackend::floats_of(const ConstView& vector, std::vector<float>& memory) const {
  if (!vector || vector.dtype == DType::f32) return static_cast<const float*>(vector.data);
  memory.resize(static_cast<size_t>(vector.cols));
  return computed(vector).read(0, memory.data());
}

void CpuBackend::embedding(View out_view, ConstView table_view, ConstView ids_view, bool accumulate) {
  checks::embedding(out_view, table_view, ids_view, types_);
  const Matrix<float> out(out_view);
  const Matrix<const int32_t> ids(ids_view);
  const int64_t cols = table_view.cols;
  each_row(ids.rows, row_cost(cols, 0.3), [&](int64_t t) {
    const int64_t id = ids.at(t, 0);
    checks::index("embedding", id, table_view.rows);
    if (table_view.dtype == DType::f32) {
      const float* row = Matrix<const float>(table_view).row(id);
      if (accumulate) return kernels_.axpy(out.row(t), 1.0F, row, cols);
      std::copy_n(row, cols, out.row(t));
      return;
    }
    float* values = accumulate ? thread_scratch(cols) : out.row(t);
    if (table_view.dtype == DType::i8) {
      int8_row(values, table_view, id);
    } else {
      kernels_.widen(values, Matrix<const Bfloat16>(table_view).row(id), cols);
    }
    if (accumulate) kernels_.axpy(out.row(t), 1.0F, values, cols);
  });
  written(out_view);
}

void CpuBackend::embedding_backward(View dtable_view, ConstView dout_view, ConstView ids_view) {
  checks::embedding(dout_view, dtable_view, ids_view, types_);
  checks::embedding_gradient(dtable_view, types_);
  const Matrix<float> dtable(dtable_view);
  const Matrix<const float> dout(dout_view);
  const Matrix<const int32_t> ids(ids_view);
  std::vector<int64_t> order(static_cast<size_t>(ids.rows)), groups;
  std::iota(order.begin(), order.end(), 0);
  for (const int64_t t : order) checks::index("embedding_backward", ids.at(t, 0), dtable.rows);
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t x, int64_t y) { return ids.at(x, 0) < ids.at(y, 0); });
  const auto id_at = [&](int64_t i) { return ids.at(order[static_cast<size_t>(i)], 0); };
  for (int64_t i = 0; i < ids.rows; ++i) {
    if (i == 0 || id_at(i) != id_at(i - 1)) groups.push_back(i);
  }
  const int64_t count = static_cast<int64_t>(groups.size());
  groups.push_back(ids.rows);
  each_row(count, row_cost(dtable.cols, 0.5), [&](int64_t g) {
    const int64_t begin = groups[static_cast<size_t>(g)], end = groups[static_cast<size_t>(g) + 1];
    float* sum = thread_scratch(dtable.cols);
    std::fill_n(sum, dtable.cols, 0.0F);
    for (int64_t i = begin; i < end; ++i) {
      kernels_.axpy(sum, 1.0F, dout.row(order[static_cast<size_t>(i)]), dtable.cols);
    }
    kernels_.axpy(dtable.row(id_at(begin)), 1.0F, sum, dtable.cols);
  });
  written(dtable_view);
}

void CpuBackend::adamw(View parameter_view, View m_view, View v_view, ConstView gradient_view,
                       const AdamW& args) {
  checks::adamw(parameter_view, m_view, v_view, gradient_view, types_);
  const double correction1 = 1 - std::pow(args.beta1, static_cast<double>(args.step));
  const double correction2 = 1 - std::pow(args.beta2, static_cast<double>(args.step));
  const AdamWFactors factors{static_cast<float>(args.beta1),
                             static_cast<float>(args.beta2),
                             static_cast<float>(1 - args.beta1),
                             static_cast<float>(1 - args.beta2),
                             static_cast<float>(args.learning_rate / correction1),
                             static_cast<float>(1 / std::sqrt(correction2)),
                             static_cast<float>(args.epsilon),
                             static_cast<float>(args.learning_rate * args.weight_decay),
                             static_cast<float>(args.gradient_scale)};
  Matrix<float> m(m_view), v(v_view);
  Matrix<const float> gradient(gradient_view);
  const auto update = [&](auto parameter, const auto& kernel) {
    flatten(parameter, m, v, gradient);
    each_run(parameter.rows, parameter.cols, 0.6, [&](int64_t r, int64_t c, int64_t count) {
      kernel(parameter.row(r) + c, m.row(r) + c, v.row(r) + c, gradient.row(r) + c, r * parameter.cols + c,
             count);
    });
  };
  if (parameter_view.dtype == DType::bf16) {
    update(Matrix<Bfloat16>(parameter_view),
           [&](Bfloat16* p, float* m_run, float* v_run, const float* g, int64_t number, int64_t count) {
             const Rounding rounding = rounding_of(args.seed, args.step, args.first + number);
             kernels_.adamw_half(p, m_run, v_run, g, factors, rounding, count);
           });
  } else {
    update(Matrix<float>(parameter_view),
           [&](float* p, float* m_run, float* v_run, const float* g, int64_t, int64_t count) {
             kernels_.adamw(p, m_run, v_run, g, factors, count);
           });
  }
  written(parameter_view, m_view, v_view);
}

void CpuBackend::sample(View ids_view, View log_prob_view, ConstView logits_view, ConstView uniforms_view,
                        const Sampling& args) {
  checks::sample(ids_view, log_prob_view, logits_view, uniforms_view, types_);
  const Matrix<int32_t> ids(ids_view);
  const Matrix<float> log_prob(log_prob_view);
  const Matrix<const float> logits(logits_view), uniforms(uniforms_view);
  each_row(logits.rows, row_cost(logits.cols, 10), [&](int64_t r) {
    double value = 0;
    ids.at(r, 0) = reference::sample_row(logits.row(r), logits.cols, static_cast<double>(uniforms.at(r, 0)),
                                         args, value);
    log_prob.at(r, 0) = static_cast<float>(value);
  });
  written(ids_view, log_prob_view);
}

}  // namespace gristmill::runtime::cpu

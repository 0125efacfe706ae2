// Splits attention over (document, head) and runs of queries; the backward over (document, key head), so that
// nothing is added to by two threads.

#include <algorithm>
#include <vector>

#include "runtime/checks.hpp"
#include "runtime/cpu/backend.hpp"
#include "runtime/cpu/operands.hpp"
#include "runtime/reference/attention.hpp"

namespace gristmill::runtime::cpu {

namespace {

double work_of(const std::vector<AttentionTask>& tasks, const AttentionShape& shape) {
  double pairs = 0;
  for (const AttentionTask& task : tasks)
    pairs += static_cast<double>(task.queries) * static_cast<double>(task.keys);
  return pairs * static_cast<double>(shape.head_dim) / 20;
}

}  // namespace

/// One head's queries [first, first + queries) over rows [key, key + keys) of k and v.
void CpuBackend::attend(const AttentionViews& views, const AttentionShape& shape, const AttentionTask& task,
                        View lse) {
  const int64_t dim = shape.head_dim, width = task.heads * dim, column = task.head * dim;
  const int64_t key_column = task.head / (shape.heads / shape.kv_heads) * dim;
  const auto queries = [&](const auto& view) {
    return view.row_range(task.first, task.queries).col_range(column, width);
  };
  const auto keys = [&](const ConstView& view) {
    return operand_of(view.row_range(task.key, task.keys).col_range(key_column, dim));
  };
  AttentionBlock block;
  block.head_dim = dim;
  block.scale = static_cast<float>(shape.scale);
  block.q = operand_of(queries(views.q));
  block.k = keys(views.k);
  block.v = keys(views.v);
  block.out = result_of(queries(views.out));
  block.queries = task.queries;
  block.first_length = task.keys - task.queries + 1;
  if (lse) {
    block.lse = Matrix<float>(lse).row(task.first) + task.head;
    block.lse_stride = lse.stride;
  }
  block.scratch = thread_scratch(attention_.forward_scratch(dim, task.keys));
  attention_.forward(block);
}

void CpuBackend::attend_all(const AttentionViews& views, const AttentionShape& shape,
                            const std::vector<AttentionTask>& tasks, View lse) {
  const int64_t count = static_cast<int64_t>(tasks.size());
  each_block(count, 1, work_of(tasks, shape) / static_cast<double>(std::max<int64_t>(count, 1)),
             [&](int64_t i, int64_t) { attend(views, shape, tasks[static_cast<size_t>(i)], lse); });
}

void CpuBackend::attention(View out, View lse, ConstView q, ConstView k, ConstView v,
                           ConstView document_starts, const AttentionShape& shape) {
  checks::attention(out, lse, q, k, v, document_starts, shape, types_);
  std::vector<AttentionTask> tasks;
  reference::each_document(Matrix<const int32_t>(document_starts), q.rows, [&](int64_t begin, int64_t end) {
    for (int64_t first = begin; first < end; first += kAttentionRun) {
      const int64_t queries = std::min(kAttentionRun, end - first);
      for (int64_t h = 0; h < shape.heads; ++h)
        tasks.push_back({first, queries, begin, first - begin + queries, h, 1});
    }
  });
  attend_all({q, k, v, out}, shape, tasks, lse);
  written(out, lse);
}

void CpuBackend::attention_backward(View dq, View dk, View dv, ConstView dout, ConstView q, ConstView k,
                                    ConstView v, ConstView out, ConstView lse_view, ConstView document_starts,
                                    const AttentionShape& shape) {
  checks::attention(out, lse_view, q, k, v, document_starts, shape, types_);
  checks::attention_gradients(dq, dk, dv, dout, q, k, types_);
  const Matrix<const float> lse(lse_view);
  const int64_t group = shape.heads / shape.kv_heads, dim = shape.head_dim;
  std::vector<AttentionTask> tasks;
  reference::each_document(Matrix<const int32_t>(document_starts), q.rows, [&](int64_t begin, int64_t end) {
    if (begin == end) return;
    for (int64_t h = 0; h < shape.kv_heads; ++h)
      tasks.push_back({begin, end - begin, begin, end - begin, h, group});
  });
  const int64_t count = static_cast<int64_t>(tasks.size());
  const double cost = 3 * static_cast<double>(group) * work_of(tasks, shape) /
                      static_cast<double>(std::max<int64_t>(count, 1));
  each_block(count, 1, cost, [&](int64_t i, int64_t) {
    const AttentionTask& task = tasks[static_cast<size_t>(i)];
    const auto queries = [&](const auto& view) {
      return view.row_range(task.first, task.queries).col_range(task.head * group * dim, group * dim);
    };
    const auto keys = [&](const auto& view) {
      return view.row_range(task.first, task.queries).col_range(task.head * dim, dim);
    };
    AttentionGradientBlock block;
    block.head_dim = dim;
    block.heads = group;
    block.rows = task.queries;
    block.scale = static_cast<float>(shape.scale);
    block.q = operand_of(queries(q));
    block.k = operand_of(keys(k));
    block.v = operand_of(keys(v));
    block.out = operand_of(queries(out));
    block.dout = operand_of(queries(dout));
    block.lse = lse.row(task.first) + task.head * group;
    block.lse_stride = lse.stride;
    block.dq = result_of(queries(dq));
    block.dk = result_of(keys(dk));
    block.dv = result_of(keys(dv));
    block.scratch = thread_scratch(attention_.backward_scratch(dim, task.queries));
    attention_.backward(block);
  });
  written(dq, dk, dv);
}

}  // namespace gristmill::runtime::cpu

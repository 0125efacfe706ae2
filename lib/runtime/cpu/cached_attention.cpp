// Attention over a cache. Rows that follow each other in a sequence (a prompt) are attention as in training;
// a single row (decoding) is one task for as many of its heads as there are threads to share them.

#include <algorithm>
#include <vector>

#include "runtime/checks.hpp"
#include "runtime/cpu/backend.hpp"
#include "runtime/cpu/operands.hpp"

namespace gristmill::runtime::cpu {

/// One row's heads [task.head, task.head + task.heads), whole groups.
void CpuBackend::attend_row(const AttentionViews& views, const AttentionShape& shape,
                            const AttentionTask& task) {
  const int64_t dim = shape.head_dim, group = shape.heads / shape.kv_heads;
  const int64_t kv_heads = task.heads / group, key_column = task.head / group * dim;
  const auto keys = [&](const ConstView& view) {
    return operand_of(view.row_range(task.key, task.keys).col_range(key_column, kv_heads * dim));
  };
  const auto heads = [&](const auto& view) {
    return view.row_range(task.first, 1).col_range(task.head * dim, task.heads * dim);
  };
  AttentionBlock block;
  block.head_dim = dim;
  block.scale = static_cast<float>(shape.scale);
  block.q = operand_of(heads(views.q));
  block.k = keys(views.k);
  block.v = keys(views.v);
  block.out = result_of(heads(views.out));
  block.q.stride = block.out.stride = dim;
  block.queries = group;
  block.first_length = task.keys;
  block.length_step = 0;
  block.scratch = thread_scratch(attention_.row_scratch(dim, kv_heads));
  attention_.row(block, kv_heads);
}

void CpuBackend::attend_rows(const AttentionViews& views, const AttentionShape& shape,
                             const std::vector<AttentionTask>& rows) {
  const int64_t group = shape.heads / shape.kv_heads, count = static_cast<int64_t>(rows.size());
  const int64_t shares = count >= pool_.threads() ? 1 : std::min<int64_t>(shape.kv_heads, pool_.threads());
  double keys = 0;
  for (const AttentionTask& row : rows) keys += static_cast<double>(row.keys);
  const double work = keys * static_cast<double>(shape.heads * shape.head_dim) / 8;
  each_block(count * shares, 1, work / static_cast<double>(std::max<int64_t>(count * shares, 1)),
             [&](int64_t i, int64_t) {
               AttentionTask task = rows[static_cast<size_t>(i / shares)];
               const int64_t share = i % shares, begin = shape.kv_heads * share / shares,
                             end = shape.kv_heads * (share + 1) / shares;
               task.head = begin * group;
               task.heads = (end - begin) * group;
               attend_row(views, shape, task);
             });
}

void CpuBackend::cached_attention(View out, ConstView q, ConstView cache_k, ConstView cache_v,
                                  ConstView sequence_view, ConstView length_view, int64_t capacity,
                                  const AttentionShape& shape) {
  checks::cached_attention(out, q, cache_k, cache_v, sequence_view, length_view, capacity, shape, types_);
  const Matrix<const int32_t> sequence(sequence_view), length(length_view);
  for (int64_t r = 0; r < q.rows; ++r) {
    checks::index("cached_attention: sequence", sequence.at(r, 0), cache_k.rows / capacity);
    checks::index("cached_attention: length", length.at(r, 0) - int64_t{1}, capacity);
  }
  const bool few = shape.heads / shape.kv_heads <= attention_.few_queries;
  std::vector<AttentionTask> tasks, rows;
  for (int64_t r = 0; r < q.rows;) {
    int64_t end = r + 1;
    while (end < q.rows && end - r < kAttentionRun && sequence.at(end, 0) == sequence.at(r, 0) &&
           length.at(end, 0) == length.at(end - 1, 0) + 1) {
      ++end;
    }
    const AttentionTask task{r, end - r, int64_t{sequence.at(r, 0)} * capacity, length.at(end - 1, 0), 0, 1};
    if (end - r == 1 && few) {
      rows.push_back(task);
    } else {
      for (int64_t h = 0; h < shape.heads; ++h) {
        tasks.push_back(task);
        tasks.back().head = h;
      }
    }
    r = end;
  }
  const AttentionViews views{q, cache_k, cache_v, out};
  attend_all(views, shape, tasks, {});
  attend_rows(views, shape, rows);
  written(out);
}

}  // namespace gristmill::runtime::cpu

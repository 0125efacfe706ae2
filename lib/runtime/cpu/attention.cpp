// Splits attention over (document, head) and runs of queries; the backward over (document, key head), so that
// nothing is added to by two threads.

#include <algorithm>
#include <vector>

#include "runtime/checks.hpp"
#include "runtime/cpu/backend.hpp"
#include "runtime/reference/attention.hpp"

namespace gristmill::runtime::cpu {

namespace {

constexpr int64_t kRun = 512;  // queries of one task

/// Queries [first, first + count) over keys from row `start`; for the backward also a whole document.
struct Task {
  int64_t start, first, count, head;
};

double work_of(const std::vector<Task>& tasks, const AttentionShape& shape) {
  double pairs = 0;
  for (const Task& task : tasks)
    pairs += static_cast<double>(task.count) * static_cast<double>(task.first - task.start + task.count);
  return pairs * static_cast<double>(shape.head_dim) / 20;
}

AttentionBlock heads_of(const AttentionShape& shape, Matrix<const float> q, Matrix<const float> k,
                        Matrix<const float> v, Matrix<float> out) {
  AttentionBlock block;
  block.head_dim = shape.head_dim;
  block.scale = static_cast<float>(shape.scale);
  block.q = q.data;
  block.q_stride = q.stride;
  block.k = k.data;
  block.k_stride = k.stride;
  block.v = v.data;
  block.v_stride = v.stride;
  block.out = out.data;
  block.out_stride = out.stride;
  return block;
}

/// Moves a block of all rows and heads to its query rows, key rows and heads.
void place(AttentionBlock& block, int64_t query, int64_t query_column, int64_t key, int64_t key_column) {
  block.q += query * block.q_stride + query_column;
  block.out += query * block.out_stride + query_column;
  block.k += key * block.k_stride + key_column;
  block.v += key * block.v_stride + key_column;
}

}  // namespace

void CpuBackend::attention(View out, View lse_view, ConstView q, ConstView k, ConstView v,
                           ConstView document_starts, const AttentionShape& shape) {
  checks::attention(out, lse_view, q, k, v, document_starts, shape, DType::f32);
  const Matrix<float> lse(lse_view);
  std::vector<Task> tasks;
  reference::each_document(Matrix<const int32_t>(document_starts), q.rows, [&](int64_t begin, int64_t end) {
    for (int64_t first = begin; first < end; first += kRun) {
      for (int64_t h = 0; h < shape.heads; ++h)
        tasks.push_back({begin, first, std::min(kRun, end - first), h});
    }
  });
  const int64_t group = shape.heads / shape.kv_heads, count = static_cast<int64_t>(tasks.size());
  const AttentionBlock all = heads_of(shape, q, k, v, out);
  each_block(
      count, 1, work_of(tasks, shape) / static_cast<double>(std::max<int64_t>(count, 1)),
      [&](int64_t i, int64_t) {
        const Task& task = tasks[static_cast<size_t>(i)];
        AttentionBlock block = all;
        place(block, task.first, task.head * shape.head_dim, task.start, task.head / group * shape.head_dim);
        block.lse = lse.row(task.first) + task.head;
        block.lse_stride = lse.stride;
        block.queries = task.count;
        block.first_length = task.first - task.start + 1;
        block.scratch =
            thread_scratch(kernels_.attention_scratch(shape.head_dim, task.first - task.start + task.count));
        kernels_.attention(block);
      });
}

void CpuBackend::attention_backward(View dq_view, View dk_view, View dv_view, ConstView dout_view,
                                    ConstView q, ConstView k, ConstView v, ConstView out, ConstView lse_view,
                                    ConstView document_starts, const AttentionShape& shape) {
  checks::attention(out, lse_view, q, k, v, document_starts, shape, DType::f32);
  checks::attention_gradients(dq_view, dk_view, dv_view, dout_view, q, k, DType::f32);
  const Matrix<float> dq(dq_view), dk(dk_view), dv(dv_view);
  const Matrix<const float> dout(dout_view), lse(lse_view);
  const int64_t group = shape.heads / shape.kv_heads, dim = shape.head_dim;
  std::vector<Task> tasks;
  reference::each_document(Matrix<const int32_t>(document_starts), q.rows, [&](int64_t begin, int64_t end) {
    if (begin == end) return;
    for (int64_t h = 0; h < shape.kv_heads; ++h) tasks.push_back({begin, begin, end - begin, h});
  });
  const int64_t count = static_cast<int64_t>(tasks.size());
  AttentionBlock all = heads_of(shape, q, k, v, {});
  all.out = const_cast<float*>(static_cast<const float*>(out.data));  // the backward only reads out and lse
  all.out_stride = out.stride;
  const double cost = 3 * static_cast<double>(group) * work_of(tasks, shape) /
                      static_cast<double>(std::max<int64_t>(count, 1));
  each_block(count, 1, cost, [&](int64_t i, int64_t) {
    const Task& task = tasks[static_cast<size_t>(i)];
    AttentionGradientBlock block;
    block.forward = all;
    place(block.forward, task.start, task.head * group * dim, task.start, task.head * dim);
    block.forward.lse = const_cast<float*>(lse.row(task.start)) + task.head * group;
    block.forward.lse_stride = lse.stride;
    block.forward.queries = task.count;
    block.forward.first_length = 1;
    block.forward.scratch = thread_scratch(kernels_.attention_backward_scratch(dim, task.count));
    block.heads = group;
    block.dout = dout.row(task.start) + task.head * group * dim;
    block.dout_stride = dout.stride;
    block.dq = dq.row(task.start) + task.head * group * dim;
    block.dq_stride = dq.stride;
    block.dk = dk.row(task.start) + task.head * dim;
    block.dk_stride = dk.stride;
    block.dv = dv.row(task.start) + task.head * dim;
    block.dv_stride = dv.stride;
    kernels_.attention_backward(block);
  });
}

void CpuBackend::cached_attention(View out, ConstView q, ConstView cache_k, ConstView cache_v,
                                  ConstView sequence_view, ConstView length_view, int64_t capacity,
                                  const AttentionShape& shape) {
  checks::cached_attention(out, q, cache_k, cache_v, sequence_view, length_view, capacity, shape, DType::f32);
  const Matrix<const int32_t> sequence(sequence_view), length(length_view);
  for (int64_t r = 0; r < q.rows; ++r) {
    checks::index("cached_attention: sequence", sequence.at(r, 0), cache_k.rows / capacity);
    checks::index("cached_attention: length", length.at(r, 0) - int64_t{1}, capacity);
  }
  // Rows that follow each other in a sequence (a prompt) are one task a head; a single row is one task for
  // all heads of a key head.
  const int64_t group = shape.heads / shape.kv_heads, dim = shape.head_dim;
  std::vector<Task> tasks;
  for (int64_t r = 0; r < q.rows;) {
    int64_t end = r + 1;
    while (end < q.rows && end - r < kRun && sequence.at(end, 0) == sequence.at(r, 0) &&
           length.at(end, 0) == length.at(end - 1, 0) + 1) {
      ++end;
    }
    const int64_t heads = end - r == 1 ? shape.kv_heads : shape.heads;
    const int64_t start = r - length.at(r, 0) + 1;  // so that first - start + count is what the last row sees
    for (int64_t h = 0; h < heads; ++h) tasks.push_back({start, r, end - r, h});
    r = end;
  }
  const AttentionBlock all = heads_of(shape, q, cache_k, cache_v, out);
  const int64_t count = static_cast<int64_t>(tasks.size());
  each_block(count, 1, work_of(tasks, shape) / static_cast<double>(std::max<int64_t>(count, 1)),
             [&](int64_t i, int64_t) {
               const Task& task = tasks[static_cast<size_t>(i)];
               const bool single = task.count == 1;
               const int64_t key_head = single ? task.head : task.head / group;
               AttentionBlock block = all;
               place(block, task.first, (single ? task.head * group : task.head) * dim,
                     static_cast<int64_t>(sequence.at(task.first, 0)) * capacity, key_head * dim);
               block.first_length = length.at(task.first, 0);
               block.queries = task.count;
               if (single) {
                 block.queries = group;
                 block.q_stride = block.out_stride = dim;
                 block.length_step = 0;
               }
               block.scratch =
                   thread_scratch(kernels_.attention_scratch(dim, task.first - task.start + task.count));
               kernels_.attention(block);
             });
}

}  // namespace gristmill::runtime::cpu

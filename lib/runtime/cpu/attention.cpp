// Splits attention over (document, head) and runs of queries; the backward over (document, key head), so that
// nothing is added to by two threads.

#include <algorithm>
#include <utility>
#include <vector>

#include "runtime/checks.hpp"
#include "runtime/cpu/backend.hpp"
#include "runtime/reference/attention.hpp"

namespace gristmill::runtime::cpu {

namespace {

constexpr int64_t kRun = 512;  // queries of one task

double work_of(const std::vector<AttentionTask>& tasks, const AttentionShape& shape) {
  double pairs = 0;
  for (const AttentionTask& task : tasks)
    pairs += static_cast<double>(task.queries) * static_cast<double>(task.keys);
  return pairs * static_cast<double>(shape.head_dim) / 20;
}

/// Pieces of one allocation, one behind the other, each aligned to a cache line.
class Pieces {
 public:
  static int64_t size(int64_t floats) { return (floats + 15) / 16 * 16; }
  explicit Pieces(float* memory) : next_(memory) {}
  float* take(int64_t floats) { return std::exchange(next_, next_ + size(floats)); }

 private:
  float* next_;
};

AttentionBlock block_of(const AttentionShape& shape, Floats<const float> q, Floats<const float> k,
                        Floats<const float> v, Floats<float> out) {
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

}  // namespace

/// One head's queries [first, first + queries) over rows [key, key + keys) of k and v. `group` heads that
/// share a key head may stand for the queries of a single row.
void CpuBackend::attend(const AttentionViews& views, const AttentionShape& shape, const AttentionTask& task,
                        View lse) {
  const int64_t dim = shape.head_dim, width = task.heads * dim, rows = task.queries;
  const int64_t key_head = task.head / (shape.heads / shape.kv_heads);
  const int64_t own = kernels_.attention_scratch(dim, task.keys);
  Pieces pieces(
      thread_scratch(Pieces::size(own) + 2 * (Pieces::size(rows * width) + Pieces::size(task.keys * dim))));
  float* scratch = pieces.take(own);
  const auto q = views.q.read(task.first, rows, task.head * dim, width, pieces.take(rows * width));
  const auto k = views.k.read(task.key, task.keys, key_head * dim, dim, pieces.take(task.keys * dim));
  const auto v = views.v.read(task.key, task.keys, key_head * dim, dim, pieces.take(task.keys * dim));
  const auto out = views.out.room(task.first, task.head * dim, width, pieces.take(rows * width));
  AttentionBlock block = block_of(shape, q, k, v, out);
  block.queries = rows;
  block.first_length = task.keys - rows + 1;
  if (task.heads > 1) {
    block.queries = task.heads;
    block.q_stride = block.out_stride = dim;
    block.first_length = task.keys;
    block.length_step = 0;
  }
  if (lse) {
    block.lse = Matrix<float>(lse).row(task.first) + task.head;
    block.lse_stride = lse.stride;
  }
  block.scratch = scratch;
  kernels_.attention(block);
  views.out.put(task.first, rows, task.head * dim, width, out.data);
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
    for (int64_t first = begin; first < end; first += kRun) {
      const int64_t queries = std::min(kRun, end - first);
      for (int64_t h = 0; h < shape.heads; ++h)
        tasks.push_back({first, queries, begin, first - begin + queries, h, 1});
    }
  });
  attend_all({computed(q), computed(k), computed(v), computed(out)}, shape, tasks, lse);
  written(out, lse);
}

void CpuBackend::attention_backward(View dq_view, View dk_view, View dv_view, ConstView dout_view,
                                    ConstView q_view, ConstView k_view, ConstView v_view, ConstView out_view,
                                    ConstView lse_view, ConstView document_starts,
                                    const AttentionShape& shape) {
  checks::attention(out_view, lse_view, q_view, k_view, v_view, document_starts, shape, types_);
  checks::attention_gradients(dq_view, dk_view, dv_view, dout_view, q_view, k_view, types_);
  const WritableRows dq = computed(dq_view), dk = computed(dk_view), dv = computed(dv_view);
  const ComputedRows dout = computed(dout_view), q = computed(q_view), k = computed(k_view),
                     v = computed(v_view), out = computed(out_view);
  const Matrix<const float> lse(lse_view);
  const int64_t group = shape.heads / shape.kv_heads, dim = shape.head_dim, width = group * dim;
  std::vector<AttentionTask> tasks;
  reference::each_document(Matrix<const int32_t>(document_starts), q_view.rows,
                           [&](int64_t begin, int64_t end) {
                             if (begin == end) return;
                             for (int64_t h = 0; h < shape.kv_heads; ++h)
                               tasks.push_back({begin, end - begin, begin, end - begin, h, group});
                           });
  const int64_t count = static_cast<int64_t>(tasks.size());
  const double cost = 3 * static_cast<double>(group) * work_of(tasks, shape) /
                      static_cast<double>(std::max<int64_t>(count, 1));
  each_block(count, 1, cost, [&](int64_t i, int64_t) {
    const AttentionTask& task = tasks[static_cast<size_t>(i)];
    const int64_t rows = task.queries, first = task.first, query = task.head * width, key = task.head * dim;
    const int64_t own = kernels_.attention_backward_scratch(dim, rows);
    Pieces pieces(
        thread_scratch(Pieces::size(own) + 4 * (Pieces::size(rows * width) + Pieces::size(rows * dim))));
    float* scratch = pieces.take(own);
    const auto read = [&](const ComputedRows& view, int64_t col, int64_t cols) {
      return view.read(first, rows, col, cols, pieces.take(rows * cols));
    };
    const auto room = [&](const WritableRows& view, int64_t col, int64_t cols) {
      return view.room(first, col, cols, pieces.take(rows * cols));
    };
    const auto results = read(out, query, width), upstream = read(dout, query, width);
    const auto to_q = room(dq, query, width), to_k = room(dk, key, dim), to_v = room(dv, key, dim);
    AttentionGradientBlock block;
    // The backward only reads out and lse.
    block.forward = block_of(shape, read(q, query, width), read(k, key, dim), read(v, key, dim),
                             {const_cast<float*>(results.data), results.stride});
    block.forward.lse = const_cast<float*>(lse.row(first)) + task.head * group;
    block.forward.lse_stride = lse.stride;
    block.forward.queries = rows;
    block.forward.first_length = 1;
    block.forward.scratch = scratch;
    block.heads = group;
    block.dout = upstream.data;
    block.dout_stride = upstream.stride;
    block.dq = to_q.data;
    block.dq_stride = to_q.stride;
    block.dk = to_k.data;
    block.dk_stride = to_k.stride;
    block.dv = to_v.data;
    block.dv_stride = to_v.stride;
    kernels_.attention_backward(block);
    dq.put(first, rows, query, width, to_q.data);
    dk.put(first, rows, key, dim, to_k.data);
    dv.put(first, rows, key, dim, to_v.data);
  });
  written(dq_view, dk_view, dv_view);
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
  // Rows that follow each other in a sequence (a prompt) are one task a head; a single row is one task for
  // all heads of a key head.
  const int64_t group = shape.heads / shape.kv_heads;
  std::vector<AttentionTask> tasks;
  for (int64_t r = 0; r < q.rows;) {
    int64_t end = r + 1;
    while (end < q.rows && end - r < kRun && sequence.at(end, 0) == sequence.at(r, 0) &&
           length.at(end, 0) == length.at(end - 1, 0) + 1) {
      ++end;
    }
    const int64_t together = end - r == 1 ? group : 1, key = int64_t{sequence.at(r, 0)} * capacity;
    for (int64_t h = 0; h < shape.heads; h += together)
      tasks.push_back({r, end - r, key, length.at(end - 1, 0), h, together});
    r = end;
  }
  attend_all({computed(q), computed(cache_k), computed(cache_v), computed(out)}, shape, tasks, {});
  written(out);
}

}  // namespace gristmill::runtime::cpu

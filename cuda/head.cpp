// The head in chunks of rows: a product, its softmax in place, and for gradients two products more. The
// gradient of the weight is finished over all chunks before it is added, in scratch unless it is the first.

#include <algorithm>
#include <bit>

#include "cuda/backend.hpp"
#include "cuda/head_arguments.hpp"

namespace gristmill::runtime::cuda {

namespace {

constexpr int64_t kMostThreads = 256, kIdsOfThread = 8, kAlignment = 4, kWarp = 32;

/// Rows of a chunk: 256 MiB of logits, or so many that products run at full speed. A function of the
/// vocabulary alone, for the order in which the weight's gradient is summed depends on it.
int64_t chunk_rows(int64_t vocabulary) {
  return std::clamp<int64_t>((int64_t{1} << 26) / std::max<int64_t>(vocabulary, 1), 256, 4096);
}

/// A block for each row.
LaunchShape blocks_of(const HeadChunk& chunk, int64_t rows) {
  const auto wanted = std::bit_ceil(static_cast<uint64_t>(blocks_for(chunk.vocabulary, kIdsOfThread)));
  return {{rows}, {std::clamp(static_cast<int64_t>(wanted), kWarp, kMostThreads)}};
}

HeadUpstream upstream_of(const HeadGradients& gradients) {
  return {rows_of(gradients.log_prob), rows_of(gradients.lse), rows_of(gradients.entropy)};
}

}  // namespace

ConstView CudaBackend::head_weight(ConstView weight) {
  const ConstView known = kept(weight);
  if (known.data != weight.data) return known;
  const Operand table = operand(weight, head_weight_, 1, nullptr);
  weight.data = table.data;
  weight.stride = table.stride;
  weight.dtype = types_.compute;
  return weight;
}

HeadChunk CudaBackend::head_logits(const HeadValues& values, ConstView hidden, ConstView weight,
                                   ConstView targets, double logit_scale, int64_t first, int64_t rows) {
  const int64_t pitch = blocks_for(weight.rows, kAlignment) * kAlignment;
  float* memory = logits_.get<float>(rows * pitch);
  View logits(memory, DType::f32, rows, weight.rows);
  logits.stride = pitch;
  Matmul product;
  product.out = logits;
  product.a = hidden.row_range(first, rows);
  product.b = weight;
  product.transpose_b = true;
  matmul(product);
  return {memory,
          weight.rows,
          pitch,
          static_cast<float>(logit_scale),
          first,
          indices_of(targets),
          rows_of(values.log_prob),
          rows_of(values.lse),
          rows_of(values.entropy)};
}

void CudaBackend::head(const HeadValues& values, ConstView hidden, ConstView weight, ConstView targets,
                       double logit_scale) {
  checks::head(values, hidden, weight, targets, types_);
  const int64_t chunk = chunk_rows(weight.rows);
  const bool once = weight.dtype == DType::i8 || hidden.rows <= chunk;
  const ConstView table = once ? kept(weight) : head_weight(weight);
  for (int64_t first = 0; first < hidden.rows; first += chunk) {
    const int64_t rows = std::min(chunk, hidden.rows - first);
    const HeadChunk logits = head_logits(values, hidden, table, targets, logit_scale, first, rows);
    gpu_.launch("head/head_values", blocks_of(logits, rows), logits);
  }
  written(values.log_prob, values.lse, values.entropy);
}

void CudaBackend::head_backward(View dhidden, bool accumulate_dweight, View dweight, const HeadValues& values,
                                ConstView hidden, ConstView weight, ConstView targets,
                                const HeadGradients& gradients, double logit_scale) {
  checks::head(values, hidden, weight, targets, types_);
  checks::head_gradients(dhidden, dweight, gradients, hidden, weight, types_);
  if (hidden.rows == 0) return accumulate_dweight ? void() : fill(dweight, 0);
  const int64_t chunk = chunk_rows(weight.rows);
  const ConstView table = head_weight(weight);
  const bool narrow = types_.compute == DType::bf16;
  // The sum of one chunk is finished when it is added, and that of many where nothing was before.
  const bool direct = !accumulate_dweight || hidden.rows <= chunk;
  const View sums =
      direct ? dweight : View(head_sums_.get<float>(weight.size()), DType::f32, weight.rows, weight.cols);
  for (int64_t first = 0; first < hidden.rows; first += chunk) {
    const int64_t rows = std::min(chunk, hidden.rows - first);
    const HeadChunk logits = head_logits(values, hidden, table, targets, logit_scale, first, rows);
    gpu_.launch("head/head_gradient", blocks_of(logits, rows), logits, upstream_of(gradients), narrow);
    View dlogits(logits.logits, types_.compute, rows, weight.rows);
    dlogits.stride = narrow ? 2 * logits.pitch : logits.pitch;
    Matmul of_hidden;
    of_hidden.out = dhidden.row_range(first, rows);
    of_hidden.a = dlogits;
    of_hidden.b = table;
    matmul(of_hidden);
    Matmul of_weight;
    of_weight.out = sums;
    of_weight.a = dlogits;
    of_weight.transpose_a = true;
    of_weight.b = hidden.row_range(first, rows);
    of_weight.accumulate = first > 0 || (direct && accumulate_dweight);
    matmul(of_weight);
  }
  if (!direct) axpy(dweight, 1, sums);
  written(values.log_prob, values.lse, values.entropy);
}

}  // namespace gristmill::runtime::cuda

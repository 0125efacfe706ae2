// Launches of attention, its backward, and attention over caches. The host knows shapes alone; documents,
// sequences and lengths stay on the device.

#include <algorithm>
#include <cstdint>
#include <limits>
#include <span>

#include "base/error.hpp"
#include "cuda/attention_shapes.hpp"
#include "cuda/backend.hpp"

namespace gristmill::runtime::cuda {

namespace {

constexpr double kLog2E = 1.4426950408889634;
constexpr int64_t kFactThreads = 128, kCombineThreads = 128;
/// So many blocks keep a large GPU busy. A constant, so that sums have the same parts on every GPU.
constexpr int64_t kManyBlocks = 256;

/// The kernels that are compiled for one width.
struct Variant {
  int width;
  const char *forward, *cached, *keys, *queries;
  int64_t rows, threads, bytes;
  int64_t backward_rows, backward_threads, backward_bytes;
};

template <template <int> class Shape, int kWidth>
constexpr Variant variant(const char* forward, const char* cached, const char* keys, const char* queries) {
  using S = Shape<kWidth>;
  return {kWidth,           forward,
          cached,           keys,
          queries,          S::kRows,
          S::kThreads,      S::kForwardBytes,
          S::kBackwardRows, S::kBackwardThreads,
          S::kBackwardBytes};
}

constexpr Variant kHalf[] = {
    variant<HalfShape, 32>("attention/attention_half_32", "cached_attention/cached_half_32",
                           "attention_backward/attention_keys_half_32",
                           "attention_backward/attention_queries_half_32"),
    variant<HalfShape, 64>("attention/attention_half_64", "cached_attention/cached_half_64",
                           "attention_backward/attention_keys_half_64",
                           "attention_backward/attention_queries_half_64"),
    variant<HalfShape, 96>("attention/attention_half_96", "cached_attention/cached_half_96",
                           "attention_backward/attention_keys_half_96",
                           "attention_backward/attention_queries_half_96"),
    variant<HalfShape, 128>("attention/attention_half_128", "cached_attention/cached_half_128",
                            "attention_backward/attention_keys_half_128",
                            "attention_backward/attention_queries_half_128"),
    variant<HalfShape, 256>("attention/attention_half_256", "cached_attention/cached_half_256",
                            "attention_backward/attention_keys_half_256",
                            "attention_backward/attention_queries_half_256")};
constexpr Variant kFloat[] = {
    variant<FloatShape, 32>("attention/attention_float_32", "cached_attention/cached_float_32",
                            "attention_backward/attention_keys_float_32",
                            "attention_backward/attention_queries_float_32"),
    variant<FloatShape, 64>("attention/attention_float_64", "cached_attention/cached_float_64",
                            "attention_backward/attention_keys_float_64",
                            "attention_backward/attention_queries_float_64"),
    variant<FloatShape, 128>("attention/attention_float_128", "cached_attention/cached_float_128",
                             "attention_backward/attention_keys_float_128",
                             "attention_backward/attention_queries_float_128"),
    variant<FloatShape, 256>("attention/attention_float_256", "cached_attention/cached_float_256",
                             "attention_backward/attention_keys_float_256",
                             "attention_backward/attention_queries_float_256")};

/// The narrowest that holds a head. Rows are numbered in 32 bits, as documents and lengths are.
const Variant& variant_for(DType compute, const AttentionShape& shape, int64_t rows) {
  constexpr int64_t kMostRows = std::numeric_limits<int32_t>::max() - 256;
  if (rows > kMostRows)
    fail(Kind::device, "attention: ", rows, " rows are too many for a GPU, at most ", kMostRows);
  const auto variants =
      compute == DType::bf16 ? std::span<const Variant>(kHalf) : std::span<const Variant>(kFloat);
  for (const Variant& each : variants) {
    if (shape.head_dim <= each.width) return each;
  }
  fail(Kind::device, "attention: heads of ", shape.head_dim, " are too wide for a GPU, at most ", kWidestHead,
       "; use --device cpu");
}

}  // namespace

void CudaBackend::attention(View out, View lse, ConstView q, ConstView k, ConstView v,
                            ConstView document_starts, const AttentionShape& shape) {
  checks::attention(out, lse, q, k, v, document_starts, shape, types_);
  const Variant& variant = variant_for(types_.compute, shape, q.rows);
  gpu_.launch(variant.forward,
              {{blocks_for(q.rows, variant.rows), shape.heads}, {variant.threads}, variant.bytes},
              rows_of(out), rows_of(lse), rows_of(q), rows_of(k), rows_of(v), indices_of(document_starts),
              static_cast<int32_t>(shape.heads / shape.kv_heads), static_cast<int32_t>(shape.head_dim),
              static_cast<float>(shape.scale * kLog2E));
  written(out, lse);
}

void CudaBackend::attention_backward(View dq, View dk, View dv, ConstView dout, ConstView q, ConstView k,
                                     ConstView v, ConstView out, ConstView lse, ConstView document_starts,
                                     const AttentionShape& shape) {
  checks::attention(out, lse, q, k, v, document_starts, shape, types_);
  checks::attention_gradients(dq, dk, dv, dout, q, k, types_);
  const Variant& variant = variant_for(types_.compute, shape, q.rows);
  QueryFacts* const facts = attention_.get<QueryFacts>(q.rows * shape.heads);
  const QueryFacts* const known = facts;
  const auto group = static_cast<int32_t>(shape.heads / shape.kv_heads);
  const auto width = static_cast<int32_t>(shape.head_dim);
  const auto scale = static_cast<float>(shape.scale);
  const int64_t tiles = blocks_for(q.rows, variant.backward_rows);
  gpu_.launch("attention_backward/attention_facts",
              {{blocks_for(q.rows, kFactThreads / 32), shape.heads}, {kFactThreads}}, facts, rows_of(dout),
              rows_of(out), rows_of(lse), indices_of(document_starts), width);
  gpu_.launch(variant.keys, {{tiles, shape.kv_heads}, {variant.backward_threads}, variant.backward_bytes},
              rows_of(dk), rows_of(dv), rows_of(dout), rows_of(q), rows_of(k), rows_of(v), known, group,
              width, scale);
  gpu_.launch(variant.queries, {{tiles, shape.heads}, {variant.backward_threads}, variant.backward_bytes},
              rows_of(dq), rows_of(dout), rows_of(q), rows_of(k), rows_of(v), known, group, width, scale);
  written(dq, dk, dv);
}

void CudaBackend::cached_attention(View out, ConstView q, ConstView cache_k, ConstView cache_v,
                                   ConstView sequence, ConstView length, int64_t capacity,
                                   const AttentionShape& shape) {
  checks::cached_attention(out, q, cache_k, cache_v, sequence, length, capacity, shape, types_);
  const Variant& variant = variant_for(types_.compute, shape, std::max(q.rows, capacity));
  const int64_t group = shape.heads / shape.kv_heads,
                heads = shape.kv_heads * blocks_for(group, std::min(group, variant.rows));
  CacheParts parts{nullptr, 1, static_cast<int32_t>(capacity)};
  if (q.rows * heads < kManyBlocks && capacity > kCachePart) {
    parts.count = static_cast<int32_t>(blocks_for(capacity, kCachePart));
    parts.keys = kCachePart;
    parts.data = attention_.get<float>(q.rows * shape.heads * parts.count * (shape.head_dim + kPartTotals));
  }
  const auto width = static_cast<int32_t>(shape.head_dim);
  gpu_.launch(variant.cached, {{q.rows, heads, parts.count}, {variant.threads}, variant.bytes}, rows_of(out),
              rows_of(q), rows_of(cache_k), rows_of(cache_v), indices_of(sequence), indices_of(length), parts,
              capacity, static_cast<int32_t>(group), width, static_cast<float>(shape.scale * kLog2E));
  written(out);
  if (parts.count == 1) return;
  gpu_.launch("cached_attention/combine_parts", {{q.rows, shape.heads}, {kCombineThreads}}, rows_of(out),
              indices_of(length), parts, width);
}

}  // namespace gristmill::runtime::cuda

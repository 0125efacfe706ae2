// Attention of new rows over caches of keys and values. Which rows belong to one sequence is known only here,
// so that the same launch serves prompts (many rows of a sequence) and decoding (one row of each of many).
//
// Rows are taken in runs of as many as fill a tile together with the query heads that share a key head: all
// of them read the same keys. There is a block for each row; the first row of a sequence in its run works for
// all of that sequence there, the blocks of the others end at once. A single row then leaves most of a tile
// empty, and the warps that have none of it only copy: reading the cache is what takes time.
//
// Where there are too few rows to keep the GPU busy, a cache is cut into parts of a fixed number of keys, a
// block each (Dao et al. 2023, "Flash-Decoding"); parts are put together by a second kernel in their order.

#include "cuda/attention_forward.cuh"
#include "cuda/rows.cuh"

using namespace gristmill::runtime::cuda;

namespace {

/// Where the sums of a part begin.
__device__ int64_t place_of(const CacheParts& parts, int64_t row, int heads, int head, int part, int width) {
  return ((row * heads + head) * parts.count + part) * (width + kPartTotals);
}

/// The longest of the lengths of a tile's rows.
template <int kRows>
__device__ int longest_of(const int (&lengths)[kRows]) {
  int longest = 0;
#pragma unroll
  for (int i = 0; i < kRows; i += 32) longest = max(longest, lengths[threadIdx.x % 32 + i]);
  return __reduce_max_sync(kAllLanes, longest);
}

/// The lengths of the rows [base, base + count) that belong to the sequence of row `leader`, 0 for others;
/// false if an earlier one of them leads.
template <int kRows>
__device__ bool gather_lengths(int (&lengths)[kRows], const Indices& sequence, const Indices& length,
                               int base, int count, int leader, int64_t capacity) {
  const int mine = static_cast<int>(threadIdx.x), row = base + mine;
  bool earlier = false;
  if (mine < kRows) {
    const bool among = mine < count && row < sequence.count &&
                       sequence.data[row * sequence.stride] == sequence.data[leader * sequence.stride];
    earlier = among && row < leader;
    lengths[mine] = among ? static_cast<int>(index_at(length, row, capacity + 1)) : 0;
    if (among && lengths[mine] == 0) __trap();
  }
  return __syncthreads_or(earlier) == 0;
}

/// Grid: (rows, key heads · tiles of the heads that share one, parts).
template <class Attention>
__device__ void attend_cached(const Rows& out, const ConstRows& q, const ConstRows& cache_k,
                              const ConstRows& cache_v, const Indices& sequence, const Indices& length,
                              const CacheParts& parts, int64_t capacity, int group, int width, float scale) {
  constexpr int kRows = Attention::kRows, kOwn = Attention::kOwn;
  __shared__ int lengths[kRows];
  const int heads = static_cast<int>(q.cols) / width, tile_heads = min(group, kRows),
            tile_rows = kRows / tile_heads;
  const int tiles = (group + tile_heads - 1) / tile_heads, leader = static_cast<int>(blockIdx.x);
  const int base = leader - leader % tile_rows, key_head = static_cast<int>(blockIdx.y) / tiles;
  const int first_head = static_cast<int>(blockIdx.y) % tiles * tile_heads;
  const int64_t cache = index_at(sequence, leader, cache_k.rows / capacity) * capacity;
  if (!gather_lengths(lengths, sequence, length, base, tile_rows, leader, capacity)) return;
  const int part = static_cast<int>(blockIdx.z), first = part * parts.keys;
  const int last = min(longest_of(lengths), first + parts.keys);
  if (first >= last) return;

  const auto seen_by = [&](int row) {
    const bool there = row < tile_rows * tile_heads && first_head + row % tile_heads < group;
    return there ? lengths[row / tile_heads] : 0;
  };
  const auto head_of = [&](int row) { return key_head * group + first_head + row % tile_heads; };
  const Head query(q, 0, width);
  Attention attention;
  load_tile<kRows, Attention::kTileWidth, Attention::kThreads>(
      tile<Attention>(kQueryTile), query, [&](int row) {
        return seen_by(row) > 0 ? (base + row / tile_heads) * query.stride + head_of(row) * width
                                : int64_t{-1};
      });
  Span sees[kOwn];
#pragma unroll
  for (int i = 0; i < kOwn; ++i) sees[i] = {0, seen_by(Attention::row(i))};
  attend(attention, Head(cache_k, key_head, width, cache), Head(cache_v, key_head, width, cache), sees, first,
         last, scale);

  const Head whole(out, 0, width), unfinished(Rows{parts.data, 0, 0, width + kPartTotals, false}, 0, width);
#pragma unroll
  for (int i = 0; i < kOwn; ++i) {
    const int row = Attention::row(i), head = head_of(row), seen = seen_by(row);
    const int64_t place = base + row / tile_heads;
    const bool finished = seen > 0 && seen <= parts.keys && part == 0;
    attention.store(i, whole, finished ? place * whole.stride + head * width : -1,
                    attention.softmax[i].inverse());
    if (parts.count == 1) continue;
    const bool partial = seen > parts.keys && seen > first;
    const int64_t at = place_of(parts, place, heads, head, part, width);
    attention.store(i, unfinished, partial ? at : -1, 1.0f);
    if (partial && Attention::speaks()) {
      parts.data[at + width] = attention.softmax[i].top;
      parts.data[at + width + 1] = attention.softmax[i].sum;
    }
  }
}

}  // namespace

extern "C" {

/// Grid: (rows, heads). Rows that end in the first part are finished.
__global__ void combine_parts(Rows out, Indices length, CacheParts parts, int width) {
  const int row = static_cast<int>(blockIdx.x), head = static_cast<int>(blockIdx.y);
  const int seen = length.data[row * length.stride];
  if (seen <= parts.keys) return;
  const int count = (seen + parts.keys - 1) / parts.keys, step = width + kPartTotals;
  const float* part = parts.data + place_of(parts, row, static_cast<int>(gridDim.y), head, 0, width);
  float top = -INFINITY, total = 0;
  for (int p = 0; p < count; ++p) top = fmaxf(top, part[p * step + width]);
  for (int p = 0; p < count; ++p)
    total += part[p * step + width + 1] * power_of_two(part[p * step + width] - top);
  for (int d = static_cast<int>(threadIdx.x); d < width; d += static_cast<int>(blockDim.x)) {
    float sum = 0;
    for (int p = 0; p < count; ++p) sum += part[p * step + d] * power_of_two(part[p * step + width] - top);
    store(out, row, static_cast<int64_t>(head) * width + d, {sum / total}, 1);
  }
}

__global__ void __launch_bounds__(128, 2)
    cached_half_32(Rows out, ConstRows q, ConstRows k, ConstRows v, Indices sequence, Indices length,
                   CacheParts parts, int64_t capacity, int group, int width, float scale) {
  attend_cached<HalfAttention<32>>(out, q, k, v, sequence, length, parts, capacity, group, width, scale);
}
__global__ void __launch_bounds__(128, 2)
    cached_half_64(Rows out, ConstRows q, ConstRows k, ConstRows v, Indices sequence, Indices length,
                   CacheParts parts, int64_t capacity, int group, int width, float scale) {
  attend_cached<HalfAttention<64>>(out, q, k, v, sequence, length, parts, capacity, group, width, scale);
}
__global__ void __launch_bounds__(128, 2)
    cached_half_96(Rows out, ConstRows q, ConstRows k, ConstRows v, Indices sequence, Indices length,
                   CacheParts parts, int64_t capacity, int group, int width, float scale) {
  attend_cached<HalfAttention<96>>(out, q, k, v, sequence, length, parts, capacity, group, width, scale);
}
__global__ void __launch_bounds__(128, 2)
    cached_half_128(Rows out, ConstRows q, ConstRows k, ConstRows v, Indices sequence, Indices length,
                    CacheParts parts, int64_t capacity, int group, int width, float scale) {
  attend_cached<HalfAttention<128>>(out, q, k, v, sequence, length, parts, capacity, group, width, scale);
}
__global__ void __launch_bounds__(128, 2)
    cached_half_256(Rows out, ConstRows q, ConstRows k, ConstRows v, Indices sequence, Indices length,
                    CacheParts parts, int64_t capacity, int group, int width, float scale) {
  attend_cached<HalfAttention<256>>(out, q, k, v, sequence, length, parts, capacity, group, width, scale);
}
__global__ void __launch_bounds__(256, 1)
    cached_float_32(Rows out, ConstRows q, ConstRows k, ConstRows v, Indices sequence, Indices length,
                    CacheParts parts, int64_t capacity, int group, int width, float scale) {
  attend_cached<FloatAttention<32>>(out, q, k, v, sequence, length, parts, capacity, group, width, scale);
}
__global__ void __launch_bounds__(256, 1)
    cached_float_64(Rows out, ConstRows q, ConstRows k, ConstRows v, Indices sequence, Indices length,
                    CacheParts parts, int64_t capacity, int group, int width, float scale) {
  attend_cached<FloatAttention<64>>(out, q, k, v, sequence, length, parts, capacity, group, width, scale);
}
__global__ void __launch_bounds__(256, 1)
    cached_float_128(Rows out, ConstRows q, ConstRows k, ConstRows v, Indices sequence, Indices length,
                     CacheParts parts, int64_t capacity, int group, int width, float scale) {
  attend_cached<FloatAttention<128>>(out, q, k, v, sequence, length, parts, capacity, group, width, scale);
}
__global__ void __launch_bounds__(256, 1)
    cached_float_256(Rows out, ConstRows q, ConstRows k, ConstRows v, Indices sequence, Indices length,
                     CacheParts parts, int64_t capacity, int group, int width, float scale) {
  attend_cached<FloatAttention<256>>(out, q, k, v, sequence, length, parts, capacity, group, width, scale);
}

}  // extern "C"

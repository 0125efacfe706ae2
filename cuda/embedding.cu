// Embedding: rows of a table by token. Its gradient adds up the rows of each token in the order of the text,
// without atomics: tokens are sorted stably by their number, and whoever stands at the start of a run of
// equal ones sums it.
//
// The sort is a radix sort from the lowest digit on (Knuth 5.2.5), 8 bits a pass: each warp counts the digits
// of its tile, one block sums the counts up in the order (digit, tile), and each warp puts its tile's keys
// where they belong, those with equal digits in their order.

#include "cuda/reduce.cuh"
#include "cuda/rows.cuh"

using namespace gristmill::runtime::cuda;

namespace {

constexpr int kDigits = 256;
constexpr int kTileKeys = 256;      // of a warp
constexpr int kScanThreads = 1024;  // of the block that sums counts up

/// Lanes of the warp below this one.
__device__ inline uint32_t lanes_below() { return (1u << threadIdx.x) - 1; }

/// Calls body(i, active) for each step of a warp's tile; all lanes come along.
template <class Body>
__device__ inline void each_key(int64_t count, const Body& body) {
  const int64_t begin = static_cast<int64_t>(blockIdx.x) * kTileKeys;
  for (int step = 0; step < kTileKeys; step += kWarp) {
    const int64_t i = begin + step + threadIdx.x;
    body(i, i < count);
  }
}

/// The lanes with this lane's digit; idle lanes have a digit of their own.
__device__ inline uint32_t equal_lanes(int digit, bool active) {
  return __match_any_sync(kWholeWarp, active ? digit : kDigits);
}

__device__ inline int digit_of(int32_t key, int shift) { return (key >> shift) & (kDigits - 1); }

}  // namespace

extern "C" __global__ void embedding(Rows out, ConstRows table, Indices ids, bool accumulate,
                                     uint32_t across) {
  const Place at = place_in(across, out.rows, out.cols);
  if (at.count == 0) return;
  const int64_t id = index_at(ids, at.row, table.rows);
  if (!accumulate) return move(out, at, table, id);
  Four sum = load(out, at.row, at.col, at.count);
  const Four added = load(table, id, at.col, at.count);
#pragma unroll
  for (int i = 0; i < kRun; ++i) sum.at[i] += added.at[i];
  store(out, at.row, at.col, sum, at.count);
}

/// counts[digit · tiles + tile]; keys must lie in [0, limit). One warp a block.
extern "C" __global__ void sort_count(Indices keys, int64_t limit, int shift, int32_t* counts) {
  __shared__ int32_t count_of[kDigits];
  for (int digit = threadIdx.x; digit < kDigits; digit += kWarp) count_of[digit] = 0;
  __syncwarp();
  each_key(keys.count, [&](int64_t i, bool active) {
    const int digit = active ? digit_of(static_cast<int32_t>(index_at(keys, i, limit)), shift) : kDigits;
    const uint32_t equal = equal_lanes(digit, active);
    if (active && (equal & lanes_below()) == 0) count_of[digit] += __popc(equal);
    __syncwarp();
  });
  for (int digit = threadIdx.x; digit < kDigits; digit += kWarp) {
    counts[static_cast<int64_t>(digit) * gridDim.x + blockIdx.x] = count_of[digit];
  }
}

/// Each count becomes the sum of those before it. One block.
extern "C" __global__ void sort_scan(int32_t* counts, int64_t size) {
  __shared__ int32_t warp_sums[kScanThreads / kWarp];
  const int64_t run = (size + kScanThreads - 1) / kScanThreads;
  const int64_t begin = min(threadIdx.x * run, size), end = min(begin + run, size);
  int32_t sum = 0;
  for (int64_t i = begin; i < end; ++i) sum += counts[i];
  const uint32_t lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  int32_t through = sum;  // the sum of the lanes up to and with this one
#pragma unroll
  for (uint32_t distance = 1; distance < kWarp; distance *= 2) {
    const int32_t before = __shfl_up_sync(kWholeWarp, through, distance);
    if (lane >= distance) through += before;
  }
  if (lane == kWarp - 1) warp_sums[warp] = through;
  __syncthreads();
  int32_t next = through - sum;
  for (uint32_t w = 0; w < warp; ++w) next += warp_sums[w];
  for (int64_t i = begin; i < end; ++i) {
    const int32_t count = counts[i];
    counts[i] = next;
    next += count;
  }
}

/// Puts keys and what goes with them (their own number where `values` is null) in the order of the digit.
extern "C" __global__ void sort_place(Indices keys, const int32_t* values, int shift, const int32_t* counts,
                                      int32_t* sorted_keys, int32_t* sorted_values) {
  __shared__ int32_t next[kDigits];
  for (int digit = threadIdx.x; digit < kDigits; digit += kWarp) {
    next[digit] = counts[static_cast<int64_t>(digit) * gridDim.x + blockIdx.x];
  }
  __syncwarp();
  each_key(keys.count, [&](int64_t i, bool active) {
    const int32_t key = active ? keys.data[i * keys.stride] : 0;
    const int digit = digit_of(key, shift);
    const uint32_t equal = equal_lanes(digit, active), before = equal & lanes_below();
    const int32_t place = next[digit] + __popc(before);
    __syncwarp();
    if (active && before == 0) next[digit] = place + __popc(equal);
    if (active) {
      sorted_keys[place] = key;
      sorted_values[place] = values == nullptr ? static_cast<int32_t>(i) : values[i];
    }
    __syncwarp();
  });
}

/// Threads are placed over sorted tokens × columns; those at the start of a run sum it and add it once.
extern "C" __global__ void embedding_backward(Rows dtable, ConstRows dout, const int32_t* ids,
                                              const int32_t* order, uint32_t across) {
  const Place at = place_in(across, dout.rows, dout.cols);
  if (at.count == 0) return;
  const int32_t id = ids[at.row];
  if (at.row > 0 && ids[at.row - 1] == id) return;
  Four sum = {};
  int64_t token = at.row;
  const auto add = [&](const Four& more) {
#pragma unroll
    for (int i = 0; i < kRun; ++i) sum.at[i] += more.at[i];
  };
  constexpr int kAhead = 4;  // rows on their way at once: a common token has a long run
  for (; token + kAhead <= dout.rows && ids[token + kAhead - 1] == id; token += kAhead) {
    Four rows[kAhead];
#pragma unroll
    for (int i = 0; i < kAhead; ++i) rows[i] = load(dout, order[token + i], at.col, at.count);
#pragma unroll
    for (int i = 0; i < kAhead; ++i) add(rows[i]);
  }
  for (; token < dout.rows && ids[token] == id; ++token) {
    add(load(dout, order[token], at.col, at.count));
  }
  Four total = load(dtable, id, at.col, at.count);
#pragma unroll
  for (int i = 0; i < kRun; ++i) total.at[i] += sum.at[i];
  store(dtable, id, at.col, total, at.count);
}

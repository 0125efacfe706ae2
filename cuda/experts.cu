// The mixture of experts but for its products. A warp works on a token of the router or on a row that is
// gathered; the formulas are in runtime/reference/experts.hpp.
//
// The order of rows, by expert and then by token, is that of a stable sort of the choices by expert
// (embedding.cu has it): counted and placed tile by tile, without atomics.

#include "cuda/expert_arguments.hpp"
#include "cuda/reduce.cuh"
#include "cuda/rows.cuh"

using namespace gristmill::runtime::cuda;

namespace {

/// Rises with the logit and, of equal ones, falls with the expert; what is no number still has a place.
__device__ inline uint64_t rank_of(float logit, int64_t expert) {
  const uint32_t bits = __float_as_uint(logit + 0.0f);  // -0 equals 0
  uint32_t key = (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
  if (logit != logit) key = 0xFFFFFFFEu;  // below the bound that the first choice has
  return static_cast<uint64_t>(key) << 32 | static_cast<uint32_t>(~expert);
}

__device__ inline int64_t expert_of(uint64_t rank) { return static_cast<uint32_t>(~rank); }

__device__ inline float logit_of(uint64_t rank) {
  const auto key = static_cast<uint32_t>(rank >> 32);
  return __uint_as_float((key & 0x80000000u) != 0 ? key ^ 0x80000000u : ~key);
}

/// The highest rank of a row below `bound`; 0 is no rank of an expert.
__device__ inline uint64_t next_rank(const float* logits, int64_t experts, uint64_t bound) {
  uint64_t best = 0;
  for (int64_t e = threadIdx.x; e < experts; e += kWarp) {
    const uint64_t rank = rank_of(logits[e], e);
    if (rank < bound) best = max(best, rank);
  }
#pragma unroll
  for (uint32_t distance = kWarp / 2; distance > 0; distance /= 2) {
    best = max(best, __shfl_xor_sync(kWholeWarp, best, distance));
  }
  return best;
}

/// The row of a warp in blocks of 32 × blockDim.y threads.
__device__ inline int64_t row_of_warp() {
  return static_cast<int64_t>(blockIdx.x) * blockDim.y + threadIdx.y;
}

__device__ inline const float* row_of(const ConstRows& m, int64_t row) {
  return static_cast<const float*>(m.data) + row * m.stride;
}
__device__ inline float* row_of(const Rows& m, int64_t row) {
  return static_cast<float*>(m.data) + row * m.stride;
}

__device__ inline int64_t place_at(const Choices& places, int64_t token, int64_t k, int64_t limit) {
  const int64_t place = places.data[token * places.stride + k];
  if (place < 0 || place >= limit) __trap();
  return place;
}

/// The first of ascending keys that is not below `key`.
__device__ inline int64_t lower_bound(const int32_t* keys, int64_t size, int64_t key) {
  int64_t begin = 0, end = size;
  while (begin < end) {
    const int64_t middle = begin + (end - begin) / 2;
    if (keys[middle] < key) {
      begin = middle + 1;
    } else {
      end = middle;
    }
  }
  return begin;
}

}  // namespace

/// All of route() but the order of rows. Probabilities may take the logits' place: all of a row is read
/// before any is written.
extern "C" __global__ void route(RouteArguments args) {
  const int64_t t = row_of_warp(), experts = args.logits.cols, chosen = args.experts.cols;
  if (t >= args.logits.rows) return;
  const float* logits = row_of(args.logits, t);
  float *weights = row_of(args.weights, t), *probabilities = row_of(args.probabilities, t);
  float highest = 0, sum = 0, total = 0;
  uint64_t bound = ~uint64_t{0};
  for (int64_t k = 0; k < chosen; ++k) {
    bound = next_rank(logits, experts, bound);
    if (k == 0) highest = logit_of(bound);
    const float mass = expf(logit_of(bound) - highest);
    sum += mass;
    if (threadIdx.x != k % kWarp) continue;
    weights[k] = mass;
    args.experts.data[t * args.experts.stride + k] = static_cast<int32_t>(expert_of(bound));
    args.keys[t * chosen + k] = static_cast<int32_t>(expert_of(bound));
  }
  for (int64_t k = threadIdx.x; k < chosen; k += kWarp) weights[k] /= sum;
  for (int64_t e = threadIdx.x; e < experts; e += kWarp) total += expf(logits[e] - highest);
  total = warp_sum(total);
  for (int64_t e = threadIdx.x; e < experts; e += kWarp) {
    probabilities[e] = expf(logits[e] - highest) / total;
  }
  if (threadIdx.x == 0) row_of(args.lse, t)[0] = highest + logf(total);
}

/// A thread a row: whose it is, and where the token finds it.
extern "C" __global__ void route_places(const int32_t* order, Choices places, int32_t* tokens,
                                        int64_t tokens_stride) {
  const int64_t row = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (row >= places.rows * places.cols) return;
  const int64_t choice = order[row], token = choice / places.cols, k = choice - token * places.cols;
  tokens[row * tokens_stride] = static_cast<int32_t>(token);
  places.data[token * places.stride + k] = static_cast<int32_t>(row);
}

/// A thread an expert, and one for the end. keys: the experts of all rows, ascending.
extern "C" __global__ void route_offsets(const int32_t* keys, int64_t rows, int64_t experts, int32_t* offsets,
                                         int64_t offsets_stride, Rows load) {
  const int64_t e = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (e > experts) return;
  const int64_t begin = lower_bound(keys, rows, e);
  offsets[e * offsets_stride] = static_cast<int32_t>(begin);
  if (load.data == nullptr || e == experts) return;
  row_of(load, 0)[e] = static_cast<float>(lower_bound(keys, rows, e + 1) - begin);
}

extern "C" __global__ void route_backward(RouteGradientArguments args) {
  const int64_t t = row_of_warp(), experts = args.dlogits.cols, chosen = args.dweights.cols;
  if (t >= args.dlogits.rows) return;
  const float *dweights = row_of(args.dweights, t), *weights = row_of(args.weights, t),
              *probabilities = row_of(args.probabilities, t), *load = row_of(args.load, 0);
  const int32_t* chosen_experts = args.experts.data + t * args.experts.stride;
  float mean = 0, pull = 0;
  for (int64_t k = 0; k < chosen; ++k) mean += weights[k] * dweights[k];
  if (load != nullptr) {
    for (int64_t e = threadIdx.x; e < experts; e += kWarp) pull += probabilities[e] * load[e];
    pull = warp_sum(pull);
  }
  const float of_lse = 2 * args.z * row_of(args.lse, t)[0];
  for (int64_t e = threadIdx.x; e < experts; e += kWarp) {
    const float balance = load == nullptr ? 0 : args.balance * (load[e] - pull);
    float value = probabilities[e] * (balance + of_lse);
    for (int64_t k = 0; k < chosen; ++k) {
      if (chosen_experts[k] == e) value += weights[k] * (dweights[k] - mean);
    }
    row_of(args.dlogits, t)[e] = value;
  }
}

extern "C" __global__ void combine_rows(Rows out, ConstRows in, ConstRows weights, Choices places,
                                        ConstRows residual, uint32_t across) {
  const Place at = place_in(across, out.rows, out.cols);
  if (at.count == 0) return;
  Four sum = {};
  for (int64_t k = 0; k < places.cols; ++k) {
    const float weight = weights.data == nullptr ? 1 : element(weights, at.row, k);
    const Four row = load(in, place_at(places, at.row, k, in.rows), at.col, at.count);
#pragma unroll
    for (int i = 0; i < kRun; ++i) sum.at[i] += weight * row.at[i];
  }
  if (residual.data != nullptr) {
    const Four more = load(residual, at.row, at.col, at.count);
#pragma unroll
    for (int i = 0; i < kRun; ++i) sum.at[i] += more.at[i];
  }
  store(out, at.row, at.col, sum, at.count);
}

/// A warp for each choice of each token.
extern "C" __global__ void combine_rows_backward(Rows din, Rows dweights, ConstRows dout, ConstRows in,
                                                 ConstRows weights, Choices places) {
  const int64_t choice = row_of_warp();
  if (choice >= places.rows * places.cols) return;
  const int64_t token = choice / places.cols, k = choice - token * places.cols;
  const int64_t place = place_at(places, token, k, in.rows);
  const float weight = element(weights, token, k);
  float sum = 0;
  for (int64_t col = threadIdx.x * kRun; col < dout.cols; col += kWarp * kRun) {
    const int count = run_length(dout.cols - col);
    const Four upstream = load(dout, token, col, count), row = load(in, place, col, count);
    Four gradient;
#pragma unroll
    for (int i = 0; i < kRun; ++i) {
      sum += upstream.at[i] * row.at[i];
      gradient.at[i] = weight * upstream.at[i];
    }
    store(din, place, col, gradient, count);
  }
  sum = warp_sum(sum);
  if (threadIdx.x == 0) row_of(dweights, token)[k] = sum;
}

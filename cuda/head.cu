// The language-model head behind its product: a block reads a row of logits once, with a running maximum
// (Milakov & Gimelshein 2018), and knows its softmax; for gradients it goes over the row again, which is in
// the second-level cache then, and writes them in its place.
//
// With z the scaled logits, p their softmax and μ = Σ p·z: log_prob = z_target - lse, entropy = lse - μ, and
// dz_j = g_log_prob·(1{j = target} - p_j) + g_lse·p_j - g_entropy·p_j·(z_j - μ). All of it is reckoned from
// the highest logit on, so that differences of large numbers do not arise.

#include "cuda/head_arguments.hpp"
#include "cuda/reduce.cuh"
#include "cuda/rows.cuh"

using namespace gristmill::runtime::cuda;

namespace {

constexpr int kThreads = 256;  // of a block at most

/// Σ exp(z - highest) and Σ exp(z - highest)·(z - highest).
struct Moments {
  float highest, total, weighted;
};

/// Moments from a maximum that is not below their own.
__device__ inline Moments raised(const Moments& m, float highest) {
  if (m.total == 0) return {highest, 0, 0};  // of nothing yet: its maximum is -inf
  const float factor = expf(m.highest - highest);
  return {highest, m.total * factor, (m.weighted + m.total * (m.highest - highest)) * factor};
}

__device__ inline Moments moments_of_thread(const float* row, const HeadChunk& chunk) {
  Moments m = {__int_as_float(static_cast<int>(0xFF800000u)), 0, 0};
  for (int64_t col = threadIdx.x * kRun; col < chunk.vocabulary; col += blockDim.x * kRun) {
    const int count = run_length(chunk.vocabulary - col);
    Four z = load_floats(row + col, count);
    float highest = m.highest;
#pragma unroll
    for (int i = 0; i < kRun; ++i) {
      z.at[i] *= chunk.scale;
      if (i < count) highest = fmaxf(highest, z.at[i]);
    }
    if (highest > m.highest) m = raised(m, highest);
#pragma unroll
    for (int i = 0; i < kRun; ++i) {
      const float distance = z.at[i] - m.highest, mass = i < count ? expf(distance) : 0;
      m.total += mass;
      m.weighted += i < count ? mass * distance : 0;
    }
  }
  return m;
}

/// Of the whole row, the same bits in every thread. One barrier.
__device__ inline Moments moments_of_row(const float* row, const HeadChunk& chunk) {
  __shared__ Moments parts[kThreads / kWarp];
  Moments m = moments_of_thread(row, chunk);
  float highest = m.highest;
#pragma unroll
  for (uint32_t distance = kWarp / 2; distance > 0; distance /= 2) {
    highest = fmaxf(highest, __shfl_xor_sync(kWholeWarp, highest, distance));
  }
  m = raised(m, highest);
  m.total = warp_sum(m.total);
  m.weighted = warp_sum(m.weighted);
  if (threadIdx.x % kWarp == 0) parts[threadIdx.x / kWarp] = m;
  __syncthreads();
  const uint32_t warps = blockDim.x / kWarp;
  for (uint32_t warp = 0; warp < warps; ++warp) highest = fmaxf(highest, parts[warp].highest);
  Moments all = {highest, 0, 0};
  for (uint32_t warp = 0; warp < warps; ++warp) {
    const Moments more = raised(parts[warp], highest);
    all.total += more.total;
    all.weighted += more.weighted;
  }
  return all;
}

struct HeadRow {
  float* logits;
  int64_t number, target;
  Moments moments;
  float target_logit;
};

/// Reads the row of this block and stores what is wanted of it.
__device__ inline HeadRow head_row(const HeadChunk& chunk) {
  HeadRow row;
  row.logits = chunk.logits + blockIdx.x * chunk.pitch;
  row.number = chunk.first + blockIdx.x;
  row.target = index_at(chunk.targets, row.number, chunk.vocabulary);
  row.target_logit = row.logits[row.target] * chunk.scale;
  row.moments = moments_of_row(row.logits, chunk);
  if (threadIdx.x != 0) return row;
  const auto store_one = [&](const Rows& to, float value) {
    if (to.data != nullptr) static_cast<float*>(to.data)[row.number * to.stride] = value;
  };
  const float log_total = logf(row.moments.total);
  store_one(chunk.log_prob, row.target_logit - row.moments.highest - log_total);
  store_one(chunk.lse, row.moments.highest + log_total);
  store_one(chunk.entropy, log_total - row.moments.weighted / row.moments.total);
  return row;
}

__device__ inline float upstream(const ConstRows& gradient, int64_t row) {
  return gradient.data == nullptr ? 0 : element(gradient, row, 0);
}

}  // namespace

extern "C" __global__ void __launch_bounds__(kThreads) head_values(HeadChunk chunk) { head_row(chunk); }

/// The logits become their gradients: in f32, or, for products in bf16, as bf16 in the first half of each
/// row's place. Then what is written at [2·begin, 2·end) bytes was read before: by this step, therefore the
/// barrier, or by earlier ones. The target's logit was read by all before the barrier of the moments.
extern "C" __global__ void __launch_bounds__(kThreads)
    head_gradient(HeadChunk chunk, HeadUpstream gradients, bool narrow) {
  const HeadRow row = head_row(chunk);
  const float g_log_prob = upstream(gradients.log_prob, row.number) * chunk.scale,
              g_entropy = upstream(gradients.entropy, row.number) * chunk.scale;
  const float mean = row.moments.weighted / row.moments.total, inverse_total = 1 / row.moments.total;
  const float by_mass = upstream(gradients.lse, row.number) * chunk.scale - g_log_prob + g_entropy * mean;
  for (int64_t begin = 0; begin < chunk.vocabulary; begin += blockDim.x * kRun) {
    const int64_t col = begin + threadIdx.x * kRun;
    const int count = run_length(chunk.vocabulary - col);
    Four z = load_floats(row.logits + col, count);
#pragma unroll
    for (int i = 0; i < kRun; ++i) {
      const float distance = z.at[i] * chunk.scale - row.moments.highest;
      z.at[i] = expf(distance) * inverse_total * (by_mass - g_entropy * distance);
      if (col + i == row.target) z.at[i] += g_log_prob;
    }
    if (!narrow) {
      store_floats(row.logits + col, z, count);
      continue;
    }
    __syncthreads();
    store_halves(reinterpret_cast<uint16_t*>(row.logits) + col, z, count);
  }
}

// Draws tokens, a block for each row of logits, without a sort. Ids are ranked by falling logit, equal ones
// by rising id; what top-k, top-p (Holtzman et al. 2020) and min-p leave is a beginning of that order each,
// so that all of it is "rank >= limit" for one 64-bit number made of the logit's bits and the id. The limit
// of top-k and top-p is found digit by digit, four bits of the logit a pass over the row.
//
// Masses exp((logit - highest) / temperature) are integers of a fixed unit, so that their sums are exact and
// no order of adding matters; cumulative ones over ids give the draw. Ids of less than half a unit (2^-45 of
// the likeliest, with 150,000 ids) have none.

#include "cuda/reduce.cuh"
#include "cuda/rows.cuh"
#include "cuda/sample_arguments.hpp"

using namespace gristmill::runtime::cuda;

namespace {

constexpr int kThreads = 512, kDigitBits = 4, kDigits = 1 << kDigitBits;

extern __shared__ uint64_t bins[];  // a number for each digit and thread

struct Shared {
  uint64_t warps[kThreads / kWarp];
  uint64_t digits[kDigits];
};

struct Row {
  const float* logits;
  int64_t size;
};

/// Rises with the logit; -0 equals 0, and what is no number is above all.
__device__ inline uint32_t key_of(float logit) {
  if (logit != logit) return 0xFFFFFFFFu;
  const uint32_t bits = __float_as_uint(logit + 0.0f);
  return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
}

__device__ inline float logit_of(uint32_t key) {
  return __uint_as_float((key & 0x80000000u) != 0 ? key ^ 0x80000000u : ~key);
}

/// Falls in the order in which ids are kept.
__device__ inline uint64_t rank_of(uint32_t key, int64_t id) {
  return static_cast<uint64_t>(key) << 32 | static_cast<uint32_t>(~id);
}

__device__ inline int64_t id_of(uint64_t rank) { return static_cast<uint32_t>(~rank); }

struct Mass {
  float highest, inverse_temperature, unit;
  __device__ uint64_t operator()(float logit) const {
    return __float2ull_rn(expf((logit - highest) * inverse_temperature) * unit);
  }
};

struct One {
  __device__ uint64_t operator()(float) const { return 1; }
};

/// Calls body(logit, id) for the ids of this thread.
template <class Body>
__device__ inline void each_logit(const Row& row, const Body& body) {
  for (int64_t first = threadIdx.x * kRun; first < row.size; first += blockDim.x * kRun) {
    const int count = run_length(row.size - first);
    const Four run = load_floats(row.logits + first, count);
#pragma unroll
    for (int i = 0; i < kRun; ++i) {
      if (i < count) body(run.at[i], first + i);
    }
  }
}

/// Leaves each warp's value in shared memory for all to read, until the next call.
__device__ inline void share(uint64_t value, Shared& shared) {
  __syncthreads();  // whoever reads what was shared last has done so
  if (threadIdx.x % kWarp == 0) shared.warps[threadIdx.x / kWarp] = value;
  __syncthreads();
}

__device__ inline uint64_t sum_of_all(uint64_t value, Shared& shared) {
  share(warp_sum(value), shared);
  uint64_t sum = 0;
  for (uint32_t warp = 0; warp < blockDim.x / kWarp; ++warp) sum += shared.warps[warp];
  return sum;
}

__device__ inline uint64_t highest_rank(const Row& row, Shared& shared) {
  uint64_t best = 0;
  each_logit(row, [&](float logit, int64_t id) { best = max(best, rank_of(key_of(logit), id)); });
#pragma unroll
  for (uint32_t distance = kWarp / 2; distance > 0; distance /= 2) {
    best = max(best, __shfl_xor_sync(kWholeWarp, best, distance));
  }
  share(best, shared);
  for (uint32_t warp = 0; warp < blockDim.x / kWarp; ++warp) best = max(best, shared.warps[warp]);
  return best;
}

/// The sum of weight(logit) over the ids from a rank on.
template <class Weight>
__device__ inline uint64_t sum_from(const Row& row, uint64_t limit, const Weight& weight, Shared& shared) {
  uint64_t sum = 0;
  each_logit(row, [&](float logit, int64_t id) {
    if (rank_of(key_of(logit), id) >= limit) sum += weight(logit);
  });
  return sum_of_all(sum, shared);
}

/// The first id at which the sum of weight(logit, id) over rising ids reaches `target`, which is at least 1
/// and at most the sum of all. The row is cut into a section for each warp, then the section in which it
/// happens.
template <class Weight>
__device__ inline int64_t id_reaching(const Row& row, uint64_t target, const Weight& weight, Shared& shared) {
  const int64_t warps = blockDim.x / kWarp, warp = threadIdx.x / kWarp;
  int64_t begin = 0, end = row.size;
  uint64_t before = 0;
  while (end - begin > 1) {
    const int64_t section = (end - begin + warps - 1) / warps;
    const int64_t from = begin + warp * section, to = min(from + section, end);
    uint64_t sum = 0;
    for (int64_t id = from + threadIdx.x % kWarp; id < to; id += kWarp) sum += weight(row.logits[id], id);
    share(warp_sum(sum), shared);
    int64_t chosen = 0;
    while (chosen + 1 < warps && before + shared.warps[chosen] < target) before += shared.warps[chosen++];
    begin = min(begin + chosen * section, end - 1);
    end = min(begin + section, end);
  }
  return begin;
}

/// Adds up the weights of each digit of the rank at `shift`, of the ids from `least` on whose higher digits
/// are those of `prefix`. Each thread has bins of its own: nobody waits for a bin, and no two lanes of a warp
/// meet in a bank.
template <class Weight>
__device__ inline void weigh_digits(const Row& row, uint64_t least, uint64_t prefix, int shift,
                                    const Weight& weight, Shared& shared) {
  uint64_t* own = bins + threadIdx.x;
  for (int digit = 0; digit < kDigits; ++digit) own[digit * blockDim.x] = 0;
  each_logit(row, [&](float logit, int64_t id) {
    const uint64_t rank = rank_of(key_of(logit), id), digit = (rank ^ prefix) >> shift;
    if (rank >= least && digit < kDigits) own[digit * blockDim.x] += weight(logit);
  });
  __syncthreads();
  for (uint32_t digit = threadIdx.x / kWarp; digit < kDigits; digit += blockDim.x / kWarp) {
    uint64_t sum = 0;
    for (uint32_t thread = threadIdx.x % kWarp; thread < blockDim.x; thread += kWarp) {
      sum += bins[digit * blockDim.x + thread];
    }
    sum = warp_sum(sum);
    if (threadIdx.x % kWarp == 0) shared.digits[digit] = sum;
  }
  __syncthreads();
}

/// The highest rank for which the ids from it on, of those from `least` on, weigh `target` or more.
template <class Weight>
__device__ inline uint64_t limit_reaching(const Row& row, uint64_t least, uint64_t target,
                                          const Weight& weight, Shared& shared) {
  uint64_t prefix = 0, above = 0, equal = 0;
  for (int shift = 64 - kDigitBits; shift >= 32; shift -= kDigitBits) {
    weigh_digits(row, least, prefix, shift, weight, shared);
    int digit = kDigits - 1;
    for (; digit > 0 && above + shared.digits[digit] < target; --digit) above += shared.digits[digit];
    equal = shared.digits[digit];
    prefix |= static_cast<uint64_t>(digit) << shift;
  }
  // Of the ids with this very logit so many as are needed, the lowest first.
  const auto key = static_cast<uint32_t>(prefix >> 32);
  const uint64_t each = max(weight(logit_of(key)), uint64_t{1});
  const uint64_t needed = (target - above + each - 1) / each;
  if (needed * each >= equal) return max(prefix, least);
  const int64_t last = id_reaching(
      row, needed,
      [&](float logit, int64_t id) -> uint64_t {
        return key_of(logit) == key && rank_of(key, id) >= least ? 1 : 0;
      },
      shared);
  return rank_of(key, last);
}

/// What the filters leave, as a limit of ranks.
__device__ inline uint64_t filtered(const Row& row, const SampleArguments& args, const Mass& mass,
                                    Shared& shared) {
  uint64_t limit = 0;
  if (args.top_k > 0 && args.top_k < row.size) limit = limit_reaching(row, limit, args.top_k, One(), shared);
  if (args.top_p < 1) {
    const uint64_t total = sum_from(row, limit, mass, shared);
    const auto target = static_cast<uint64_t>(ceil(max(args.top_p, 0.0) * static_cast<double>(total)));
    limit = limit_reaching(row, limit, min(max(target, uint64_t{1}), total), mass, shared);
  }
  const float lowest = __double2float_ru(static_cast<double>(mass.highest) + args.least);
  return max(limit, static_cast<uint64_t>(key_of(lowest)) << 32);
}

/// Inverts the distribution of the ids from a rank on.
__device__ inline int64_t drawn(const Row& row, uint64_t limit, float uniform, const Mass& mass,
                                Shared& shared) {
  const uint64_t total = sum_from(row, limit, mass, shared);
  const auto passed = static_cast<uint64_t>(static_cast<double>(uniform) * static_cast<double>(total));
  return id_reaching(
      row, min(passed + 1, total),  // a uniform of 1 draws the last id with mass
      [&](float logit, int64_t id) -> uint64_t {
        return rank_of(key_of(logit), id) >= limit ? mass(logit) : 0;
      },
      shared);
}

}  // namespace

/// At least two warps a block. Logits that are not finite stop the GPU: nothing can be drawn from them.
extern "C" __global__ void __launch_bounds__(kThreads)
    sample(int32_t* ids, int64_t ids_stride, Rows log_prob, ConstRows logits, ConstRows uniforms,
           SampleArguments args) {
  __shared__ Shared shared;
  const int64_t r = blockIdx.x;
  const Row row{static_cast<const float*>(logits.data) + r * logits.stride, logits.cols};
  int64_t id = id_of(highest_rank(row, shared));
  const Mass mass{row.logits[id], args.inverse_temperature, args.unit};
  const uint64_t total = sum_from(row, 0, mass, shared);
  if (args.draws) {
    if (!isfinite(mass.highest)) __trap();
    id = drawn(row, filtered(row, args, mass, shared), element(uniforms, r, 0), mass, shared);
  }
  if (threadIdx.x != 0) return;
  const double distance = static_cast<double>(row.logits[id]) - static_cast<double>(mass.highest);
  ids[r * ids_stride] = static_cast<int32_t>(id);
  static_cast<float*>(log_prob.data)[r * log_prob.stride] = static_cast<float>(
      distance / args.temperature - log(static_cast<double>(total) / static_cast<double>(args.unit)));
}

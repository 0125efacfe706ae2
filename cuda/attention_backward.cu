// Backward of attention over packed documents (Dao 2023, algorithm 2), in three kernels, so that nothing is
// added to by two blocks and every sum has one order:
//   facts:  D = Σ dout·out of each row and head, its logsumexp, its document;
//   keys:   a block has a tile of keys, and goes through the query rows and heads that see them:
//           P = exp(scale·q·k - lse), dv += Pᵀ·dout, dS = P∘(dout·vᵀ - D), dk += scale·dSᵀ·q;
//   queries: a block has a tile of query rows and goes through the keys they see: dq += scale·dS·k.
// P is made twice, which costs two of seven products; adding dq from the blocks of keys would need atomics.
// The keys' kernel makes squares transposed, rows are keys: then P and dS are left operands as they lie in
// registers.

#include "cuda/attention_gradients.cuh"
#include "cuda/rows.cuh"

using namespace gristmill::runtime::cuda;

namespace {

/// Grid: (tiles of keys, key heads).
template <class Gradient>
__device__ void key_gradients(const Rows& dk, const Rows& dv, const ConstRows& dout, const ConstRows& q,
                              const ConstRows& k, const ConstRows& v, const QueryFacts* all_facts, int group,
                              int width, float scale) {
  constexpr int kRows = Gradient::kRows, kStreamed = Gradient::kStreamed;
  __shared__ QueryFacts facts[Gradient::kBuffers][kStreamed];
  const int tokens = static_cast<int>(q.rows), head = static_cast<int>(blockIdx.y);
  const int first = static_cast<int>(blockIdx.x) * kRows, end = min(first + kRows, tokens);
  load_rows<Gradient, kRows>(kept_tile<Gradient>(0), Head(k, head, width), first, end);
  load_rows<Gradient, kRows>(kept_tile<Gradient>(1), Head(v, head, width), first, end);
  const int last = all_facts[end - 1].end;  // behind the last query that sees one of these keys
  const int steps = (last - first + kStreamed - 1) / kStreamed;
  const auto query_of = [&](int step) { return first + step % steps * kStreamed; };
  const auto load = [&](int step, int buffer) {
    const int query_head = head * group + step / steps, query = query_of(step);
    load_rows<Gradient, kStreamed>(streamed_tile<Gradient>(0, buffer), Head(q, query_head, width), query,
                                   last);
    load_rows<Gradient, kStreamed>(streamed_tile<Gradient>(1, buffer), Head(dout, query_head, width), query,
                                   last);
    const int mine = static_cast<int>(threadIdx.x);
    if (mine < kStreamed) {
      const bool inside = query + mine < last;
      const QueryFacts* from = all_facts + static_cast<int64_t>(query_head) * tokens;
      copy_async(&facts[buffer][mine], from + (inside ? query + mine : 0), inside);
    }
    commit_copies();
  };
  typename Gradient::Sums key_sums = {}, value_sums = {};
  const float scale2 = scale * kLog2E;
  const int first_key = first + Gradient::first_row();
  stream<Gradient>(steps * group, load, [&](int step, int buffer) {
    const int query = query_of(step);
    const QueryFacts* fact = facts[buffer];
    if (query + kStreamed <= first_key || fact[0].begin >= first_key + Gradient::kWarpRows) return;
    const bool all_seen =
        query + 1 >= first + kRows && fact[kStreamed - 1].begin <= first && query + kStreamed <= last;
    typename Gradient::Scores weights, gradients;
    Gradient::multiply(weights, kept_tile<Gradient>(0), streamed_tile<Gradient>(0, buffer));
    Gradient::each([&](int, int column, int index) {
      float& weight = Gradient::at(weights, index);
      weight = power_of_two(weight * scale2 - fact[column].lse);
    });
    if (!all_seen) {
      Gradient::each([&](int i, int column, int index) {
        const int key = first + Gradient::row(i), at = query + column;
        if (at >= last || !Span{fact[column].begin, at + 1}.sees(key)) Gradient::at(weights, index) = 0;
      });
    }
    Gradient::add(value_sums, weights, streamed_tile<Gradient>(1, buffer), shared_weights<Gradient>());
    Gradient::multiply(gradients, kept_tile<Gradient>(1), streamed_tile<Gradient>(1, buffer));
    Gradient::each([&](int, int column, int index) {
      float& gradient = Gradient::at(gradients, index);
      gradient = Gradient::at(weights, index) * (gradient - fact[column].delta);
    });
    Gradient::add(key_sums, gradients, streamed_tile<Gradient>(0, buffer), shared_weights<Gradient>());
  });
  const Head to_k(dk, head, width), to_v(dv, head, width);
#pragma unroll
  for (int i = 0; i < Gradient::kOwn; ++i) {
    const int64_t row = first + Gradient::row(i);
    Gradient::store(key_sums, i, to_k, row < end ? row * to_k.stride : -1, scale);
    Gradient::store(value_sums, i, to_v, row < end ? row * to_v.stride : -1, 1.0f);
  }
}

/// Grid: (tiles of query rows, heads); late tiles have the most keys and come first.
template <class Gradient>
__device__ void query_gradients(const Rows& dq, const ConstRows& dout, const ConstRows& q, const ConstRows& k,
                                const ConstRows& v, const QueryFacts* all_facts, int group, int width,
                                float scale) {
  constexpr int kRows = Gradient::kRows, kStreamed = Gradient::kStreamed, kOwn = Gradient::kOwn;
  const int tokens = static_cast<int>(q.rows), head = static_cast<int>(blockIdx.y);
  const int first = static_cast<int>(gridDim.x - 1 - blockIdx.x) * kRows, end = min(first + kRows, tokens);
  load_rows<Gradient, kRows>(kept_tile<Gradient>(0), Head(q, head, width), first, end);
  load_rows<Gradient, kRows>(kept_tile<Gradient>(1), Head(dout, head, width), first, end);
  const QueryFacts* facts = all_facts + static_cast<int64_t>(head) * tokens;
  const int begin = facts[first].begin;
  Span sees[kOwn];
  float lse[kOwn], delta[kOwn];
#pragma unroll
  for (int i = 0; i < kOwn; ++i) {
    const int row = first + Gradient::row(i);
    const QueryFacts fact = facts[min(row, tokens - 1)];
    sees[i] = {fact.begin, row < end ? row + 1 : fact.begin};
    lse[i] = fact.lse;
    delta[i] = fact.delta;
  }
  const Head keys(k, head / group, width), values(v, head / group, width);
  const auto load = [&](int step, int buffer) {
    const int key = begin + step * kStreamed;
    load_rows<Gradient, kStreamed>(streamed_tile<Gradient>(0, buffer), keys, key, end);
    load_rows<Gradient, kStreamed>(streamed_tile<Gradient>(1, buffer), values, key, end);
    commit_copies();
  };
  typename Gradient::Sums sums = {};
  const float scale2 = scale * kLog2E;
  stream<Gradient>((end - begin + kStreamed - 1) / kStreamed, load, [&](int step, int buffer) {
    const int key = begin + step * kStreamed;
    bool meets = false, covers = true;
#pragma unroll
    for (int i = 0; i < kOwn; ++i) {
      meets = meets || sees[i].meets(key, kStreamed);
      covers = covers && sees[i].covers(key, kStreamed);
    }
    if (!__any_sync(kAllLanes, meets)) return;
    const bool all_seen = __all_sync(kAllLanes, covers);
    typename Gradient::Scores weights, gradients;
    Gradient::multiply(weights, kept_tile<Gradient>(0), streamed_tile<Gradient>(0, buffer));
    Gradient::multiply(gradients, kept_tile<Gradient>(1), streamed_tile<Gradient>(1, buffer));
    Gradient::each([&](int i, int, int index) {
      float& weight = Gradient::at(weights, index);
      weight = power_of_two(weight * scale2 - lse[i]);
    });
    if (!all_seen) {
      Gradient::each([&](int i, int column, int index) {
        if (!sees[i].sees(key + column)) Gradient::at(weights, index) = 0;
      });
    }
    Gradient::each([&](int i, int, int index) {
      float& gradient = Gradient::at(gradients, index);
      gradient = Gradient::at(weights, index) * (gradient - delta[i]);
    });
    Gradient::add(sums, gradients, streamed_tile<Gradient>(0, buffer), shared_weights<Gradient>());
  });
  const Head to(dq, head, width);
#pragma unroll
  for (int i = 0; i < kOwn; ++i) {
    const int64_t row = first + Gradient::row(i);
    Gradient::store(sums, i, to, row < end ? row * to.stride : -1, scale);
  }
}

}  // namespace

extern "C" {

/// Grid: (rows / warps of a block, heads); facts[head · rows + row].
__global__ void attention_facts(QueryFacts* facts, ConstRows dout, ConstRows out, ConstRows lse,
                                Indices starts, int width) {
  const int64_t row = static_cast<int64_t>(blockIdx.x) * (blockDim.x / 32) + threadIdx.x / 32;
  if (row >= dout.rows) return;
  const int lane = static_cast<int>(threadIdx.x) % 32, head = static_cast<int>(blockIdx.y);
  float sum = 0;
  for (int d = lane * kRun; d < width; d += 32 * kRun) {
    const Four a = load(dout, row, static_cast<int64_t>(head) * width + d, run_length(width - d));
    const Four b = load(out, row, static_cast<int64_t>(head) * width + d, run_length(width - d));
#pragma unroll
    for (int i = 0; i < kRun; ++i) sum = fmaf(a.at[i], b.at[i], sum);
  }
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) sum += __shfl_xor_sync(kAllLanes, sum, distance);
  if (lane != 0) return;
  const Span document = document_of(starts, static_cast<int>(row));
  facts[head * dout.rows + row] = {element(lse, row, head) * kLog2E, sum, document.begin, document.end};
}

__global__ void __launch_bounds__(128, 2)
    attention_keys_half_32(Rows dk, Rows dv, ConstRows dout, ConstRows q, ConstRows k, ConstRows v,
                           const QueryFacts* facts, int group, int width, float scale) {
  key_gradients<HalfGradient<32>>(dk, dv, dout, q, k, v, facts, group, width, scale);
}
__global__ void __launch_bounds__(128, 2)
    attention_keys_half_64(Rows dk, Rows dv, ConstRows dout, ConstRows q, ConstRows k, ConstRows v,
                           const QueryFacts* facts, int group, int width, float scale) {
  key_gradients<HalfGradient<64>>(dk, dv, dout, q, k, v, facts, group, width, scale);
}
__global__ void __launch_bounds__(128, 2)
    attention_keys_half_96(Rows dk, Rows dv, ConstRows dout, ConstRows q, ConstRows k, ConstRows v,
                           const QueryFacts* facts, int group, int width, float scale) {
  key_gradients<HalfGradient<96>>(dk, dv, dout, q, k, v, facts, group, width, scale);
}
__global__ void __launch_bounds__(128, 2)
    attention_keys_half_128(Rows dk, Rows dv, ConstRows dout, ConstRows q, ConstRows k, ConstRows v,
                            const QueryFacts* facts, int group, int width, float scale) {
  key_gradients<HalfGradient<128>>(dk, dv, dout, q, k, v, facts, group, width, scale);
}
__global__ void __launch_bounds__(256, 1)
    attention_keys_half_256(Rows dk, Rows dv, ConstRows dout, ConstRows q, ConstRows k, ConstRows v,
                            const QueryFacts* facts, int group, int width, float scale) {
  key_gradients<HalfGradient<256>>(dk, dv, dout, q, k, v, facts, group, width, scale);
}
__global__ void __launch_bounds__(256, 1)
    attention_keys_float_32(Rows dk, Rows dv, ConstRows dout, ConstRows q, ConstRows k, ConstRows v,
                            const QueryFacts* facts, int group, int width, float scale) {
  key_gradients<FloatGradient<32>>(dk, dv, dout, q, k, v, facts, group, width, scale);
}
__global__ void __launch_bounds__(256, 1)
    attention_keys_float_64(Rows dk, Rows dv, ConstRows dout, ConstRows q, ConstRows k, ConstRows v,
                            const QueryFacts* facts, int group, int width, float scale) {
  key_gradients<FloatGradient<64>>(dk, dv, dout, q, k, v, facts, group, width, scale);
}
__global__ void __launch_bounds__(256, 1)
    attention_keys_float_128(Rows dk, Rows dv, ConstRows dout, ConstRows q, ConstRows k, ConstRows v,
                             const QueryFacts* facts, int group, int width, float scale) {
  key_gradients<FloatGradient<128>>(dk, dv, dout, q, k, v, facts, group, width, scale);
}
__global__ void __launch_bounds__(256, 1)
    attention_keys_float_256(Rows dk, Rows dv, ConstRows dout, ConstRows q, ConstRows k, ConstRows v,
                             const QueryFacts* facts, int group, int width, float scale) {
  key_gradients<FloatGradient<256>>(dk, dv, dout, q, k, v, facts, group, width, scale);
}
__global__ void __launch_bounds__(128, 2)
    attention_queries_half_32(Rows dq, ConstRows dout, ConstRows q, ConstRows k, ConstRows v,
                              const QueryFacts* facts, int group, int width, float scale) {
  query_gradients<HalfGradient<32>>(dq, dout, q, k, v, facts, group, width, scale);
}
__global__ void __launch_bounds__(128, 2)
    attention_queries_half_64(Rows dq, ConstRows dout, ConstRows q, ConstRows k, ConstRows v,
                              const QueryFacts* facts, int group, int width, float scale) {
  query_gradients<HalfGradient<64>>(dq, dout, q, k, v, facts, group, width, scale);
}
__global__ void __launch_bounds__(128, 2)
    attention_queries_half_96(Rows dq, ConstRows dout, ConstRows q, ConstRows k, ConstRows v,
                              const QueryFacts* facts, int group, int width, float scale) {
  query_gradients<HalfGradient<96>>(dq, dout, q, k, v, facts, group, width, scale);
}
__global__ void __launch_bounds__(128, 2)
    attention_queries_half_128(Rows dq, ConstRows dout, ConstRows q, ConstRows k, ConstRows v,
                               const QueryFacts* facts, int group, int width, float scale) {
  query_gradients<HalfGradient<128>>(dq, dout, q, k, v, facts, group, width, scale);
}
__global__ void __launch_bounds__(256, 1)
    attention_queries_half_256(Rows dq, ConstRows dout, ConstRows q, ConstRows k, ConstRows v,
                               const QueryFacts* facts, int group, int width, float scale) {
  query_gradients<HalfGradient<256>>(dq, dout, q, k, v, facts, group, width, scale);
}
__global__ void __launch_bounds__(256, 1)
    attention_queries_float_32(Rows dq, ConstRows dout, ConstRows q, ConstRows k, ConstRows v,
                               const QueryFacts* facts, int group, int width, float scale) {
  query_gradients<FloatGradient<32>>(dq, dout, q, k, v, facts, group, width, scale);
}
__global__ void __launch_bounds__(256, 1)
    attention_queries_float_64(Rows dq, ConstRows dout, ConstRows q, ConstRows k, ConstRows v,
                               const QueryFacts* facts, int group, int width, float scale) {
  query_gradients<FloatGradient<64>>(dq, dout, q, k, v, facts, group, width, scale);
}
__global__ void __launch_bounds__(256, 1)
    attention_queries_float_128(Rows dq, ConstRows dout, ConstRows q, ConstRows k, ConstRows v,
                                const QueryFacts* facts, int group, int width, float scale) {
  query_gradients<FloatGradient<128>>(dq, dout, q, k, v, facts, group, width, scale);
}
__global__ void __launch_bounds__(256, 1)
    attention_queries_float_256(Rows dq, ConstRows dout, ConstRows q, ConstRows k, ConstRows v,
                                const QueryFacts* facts, int group, int width, float scale) {
  query_gradients<FloatGradient<256>>(dq, dout, q, k, v, facts, group, width, scale);
}
}  // extern "C"

// Causal attention of packed documents, forward. A block takes a tile of query rows of one head. Its keys
// reach from the start of its first row's document to its last row; where documents meet inside, rows see
// theirs alone. Where documents begin is known only here: each block looks its rows up.

#include "cuda/attention_forward.cuh"

using namespace gristmill::runtime::cuda;

namespace {

/// Grid: (tiles of rows, heads). Late tiles come first: they have the most keys, and the last blocks to run
/// should be short.
template <class Attention>
__device__ void attend_packed(const Rows& out, const Rows& lse, const ConstRows& q, const ConstRows& k,
                              const ConstRows& v, const Indices& starts, int group, int width, float scale) {
  constexpr int kRows = Attention::kRows, kOwn = Attention::kOwn;
  __shared__ int begins[kRows];
  const int head = static_cast<int>(blockIdx.y), tokens = static_cast<int>(q.rows);
  const int first = static_cast<int>(gridDim.x - 1 - blockIdx.x) * kRows, last = min(first + kRows, tokens);
  Attention attention;
  const Head query(q, head, width), to(out, head, width);
  load_tile<kRows, Attention::kTileWidth, Attention::kThreads>(tile<Attention>(kQueryTile), query,
                                                               RowsFrom{query.stride, first, tokens});
  const int mine = static_cast<int>(threadIdx.x);
  if (mine < kRows && first + mine < tokens) begins[mine] = document_of(starts, first + mine).begin;
  __syncthreads();
  Span sees[kOwn];
#pragma unroll
  for (int i = 0; i < kOwn; ++i) {
    const int row = Attention::row(i);
    sees[i] = first + row < tokens ? Span{begins[row], first + row + 1} : Span{0, 0};
  }
  attend(attention, Head(k, head / group, width), Head(v, head / group, width), sees, begins[0], last, scale);
#pragma unroll
  for (int i = 0; i < kOwn; ++i) {
    const int64_t row = first + Attention::row(i);
    attention.store(i, to, row < tokens ? row * to.stride : -1, attention.softmax[i].inverse());
    if (row < tokens && Attention::speaks())
      static_cast<float*>(lse.data)[row * lse.stride + head] = attention.softmax[i].lse();
  }
}

}  // namespace

extern "C" {

__global__ void __launch_bounds__(128, 2)
    attention_half_32(Rows out, Rows lse, ConstRows q, ConstRows k, ConstRows v, Indices starts, int group,
                      int width, float scale) {
  attend_packed<HalfAttention<32>>(out, lse, q, k, v, starts, group, width, scale);
}
__global__ void __launch_bounds__(128, 2)
    attention_half_64(Rows out, Rows lse, ConstRows q, ConstRows k, ConstRows v, Indices starts, int group,
                      int width, float scale) {
  attend_packed<HalfAttention<64>>(out, lse, q, k, v, starts, group, width, scale);
}
__global__ void __launch_bounds__(128, 2)
    attention_half_96(Rows out, Rows lse, ConstRows q, ConstRows k, ConstRows v, Indices starts, int group,
                      int width, float scale) {
  attend_packed<HalfAttention<96>>(out, lse, q, k, v, starts, group, width, scale);
}
__global__ void __launch_bounds__(128, 2)
    attention_half_128(Rows out, Rows lse, ConstRows q, ConstRows k, ConstRows v, Indices starts, int group,
                       int width, float scale) {
  attend_packed<HalfAttention<128>>(out, lse, q, k, v, starts, group, width, scale);
}
__global__ void __launch_bounds__(128, 2)
    attention_half_256(Rows out, Rows lse, ConstRows q, ConstRows k, ConstRows v, Indices starts, int group,
                       int width, float scale) {
  attend_packed<HalfAttention<256>>(out, lse, q, k, v, starts, group, width, scale);
}
__global__ void __launch_bounds__(256, 1)
    attention_float_32(Rows out, Rows lse, ConstRows q, ConstRows k, ConstRows v, Indices starts, int group,
                       int width, float scale) {
  attend_packed<FloatAttention<32>>(out, lse, q, k, v, starts, group, width, scale);
}
__global__ void __launch_bounds__(256, 1)
    attention_float_64(Rows out, Rows lse, ConstRows q, ConstRows k, ConstRows v, Indices starts, int group,
                       int width, float scale) {
  attend_packed<FloatAttention<64>>(out, lse, q, k, v, starts, group, width, scale);
}
__global__ void __launch_bounds__(256, 1)
    attention_float_128(Rows out, Rows lse, ConstRows q, ConstRows k, ConstRows v, Indices starts, int group,
                        int width, float scale) {
  attend_packed<FloatAttention<128>>(out, lse, q, k, v, starts, group, width, scale);
}
__global__ void __launch_bounds__(256, 1)
    attention_float_256(Rows out, Rows lse, ConstRows q, ConstRows k, ConstRows v, Indices starts, int group,
                        int width, float scale) {
  attend_packed<FloatAttention<256>>(out, lse, q, k, v, starts, group, width, scale);
}

}  // extern "C"

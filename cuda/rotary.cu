// Rotary embedding (Su et al. 2021) in place: the pair (x_i, x_{i+d/2}) of every head is turned by the angle
// position·inverse_frequency_i.

#include "cuda/rows.cuh"

using namespace gristmill::runtime::cuda;

namespace {

constexpr int64_t kHeads = 4;  // that share a thread's angles

/// cos and sin of position·frequency. The angle is taken in turns in double, where a position of millions
/// still has its digits, and only what is left of a turn goes on as a float; sinpi and cospi need no
/// reduction of their own then.
__device__ inline void turn(float* cosine, float* sine, int64_t position, float frequency) {
  constexpr double kTurns = 0.15915494309189533577;  // 1 / 2π
  const double turns = static_cast<double>(position) * static_cast<double>(frequency) * kTurns;
  sincospif(2.0f * static_cast<float>(turns - rint(turns)), sine, cosine);
}

}  // namespace

/// Threads are placed over tokens × pairs; blockIdx.y is a group of heads. `sign` -1 turns back.
extern "C" __global__ void rotary(Rows x, Indices positions, ConstRows inverse_frequency, int64_t heads,
                                  int64_t head_dim, float sign, uint32_t across) {
  const int64_t half = head_dim / 2;
  const Place at = place_in(across, x.rows, half);
  if (at.count == 0) return;
  const int64_t position = positions.data[at.row * positions.stride];
  const Four frequency = load(inverse_frequency, 0, at.col, at.count);
  Four cosine, sine;
#pragma unroll
  for (int i = 0; i < kRun; ++i) {
    turn(&cosine.at[i], &sine.at[i], position, frequency.at[i]);
    sine.at[i] *= sign;
  }
  const int64_t begin = blockIdx.y * kHeads, end = min(begin + kHeads, heads);
  for (int64_t head = begin; head < end; ++head) {
    const int64_t col = head * head_dim + at.col;
    Four first = load(x, at.row, col, at.count), second = load(x, at.row, col + half, at.count);
#pragma unroll
    for (int i = 0; i < kRun; ++i) {
      const float turned = first.at[i] * cosine.at[i] - second.at[i] * sine.at[i];
      second.at[i] = second.at[i] * cosine.at[i] + first.at[i] * sine.at[i];
      first.at[i] = turned;
    }
    store(x, at.row, col, first, at.count);
    store(x, at.row, col + half, second, at.count);
  }
}

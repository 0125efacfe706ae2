// Weights in int8 (runtime/int8.hpp): making them, products with them, rows of them. The arithmetic is that
// of runtime/cpu/int8_kernels.hpp, number for number: a row of a is rounded to scale · n with n = 256 · high
// + low in two signed bytes, and sums of bytes are exact, so that a product has the same bits on every
// device.

#include "cuda/product_output.cuh"
#include "cuda/reduce.cuh"
#include "runtime/int8_layout.hpp"

using namespace gristmill::runtime::cuda;

namespace {

constexpr int kStripRows = gristmill::runtime::kInt8StripRows, kGroup = gristmill::runtime::kInt8Group;
constexpr float kSmallestNormal = 1.17549435e-38f, kLargestByte = 127, kLargestPair = 32639;
constexpr int kWarps = 8;     // of a block
constexpr int kTileRows = 8;  // rows of a that a warp multiplies at once

/// The largest magnitude of numbers, and whether all are finite.
struct Largest {
  float value = 0, wrong = 0;  ///< wrong: 0, or no number
  __device__ void take(float x) {
    value = fmaxf(value, fabsf(x));
    wrong += x - x;
  }
  __device__ void take(const Four& x) {
#pragma unroll
    for (int i = 0; i < kRun; ++i) take(x.at[i]);
  }
  __device__ void join(float other_value, float other_wrong) {
    value = fmaxf(value, other_value);
    wrong += other_wrong;
  }
  __device__ void join_warp() {
#pragma unroll
    for (int distance = kWarp / 2; distance > 0; distance /= 2)
      join(__shfl_xor_sync(kWholeWarp, value, distance), __shfl_xor_sync(kWholeWarp, wrong, distance));
  }
  /// What makes the largest number `most`; no number where one is none.
  __device__ float scale(float most) const {
    return wrong != 0 ? __int_as_float(0x7FC00000) : fmaxf(value / most, kSmallestNormal);
  }
};

/// value / scale to the nearest integer, ties to even; 0 where the scale is no number.
__device__ inline int rounded(float value, float scale, float most) {
  if (scale != scale) return 0;
  return __float2int_rn(fminf(fmaxf(value / scale, -most), most));
}

__device__ inline uint32_t packed(const int (&byte)[kGroup]) {
  return (byte[0] & 0xFF) | (byte[1] & 0xFF) << 8 | (byte[2] & 0xFF) << 16 |
         static_cast<uint32_t>(byte[3]) << 24;
}

__device__ inline int64_t groups_of(int64_t depth) { return (depth + kGroup - 1) / kGroup; }

/// The words of a strip: 32 scales, then for each group one word a row.
__device__ inline uint32_t* strip_of(void* matrix, int64_t strip, int64_t depth) {
  return static_cast<uint32_t*>(matrix) + strip * kStripRows * (1 + groups_of(depth));
}

/// The word of `count` neighbouring columns of a row; the others are zero.
__device__ inline uint32_t quantized(float scale, const Four& value, int count) {
  int byte[kGroup];
#pragma unroll
  for (int i = 0; i < kGroup; ++i) byte[i] = i < count ? rounded(value.at[i], scale, kLargestByte) : 0;
  return packed(byte);
}

}  // namespace

/// A strip a block of 32 × 8 threads, from a weight that lies as the strip's rows do. Lanes read along a row
/// and write across rows; between, words lie in shared memory.
extern "C" __global__ void quantize_rows(void* out, int64_t rows, int64_t depth, const float* weight,
                                         int64_t stride) {
  __shared__ uint32_t words[kWarp][kStripRows + 1];
  __shared__ float scales[kStripRows];
  const int lane = threadIdx.x, warp = threadIdx.y;
  const int64_t first = static_cast<int64_t>(blockIdx.x) * kStripRows, groups = groups_of(depth);
  uint32_t* strip = strip_of(out, blockIdx.x, depth);
  for (int r = warp; r < kStripRows; r += kWarps) {
    Largest largest;
    for (int64_t c = lane * kRun; c < depth && first + r < rows; c += kWarp * kRun)
      largest.take(load_floats(weight + (first + r) * stride + c, run_length(depth - c)));
    largest.join_warp();
    if (lane == 0) scales[r] = first + r < rows ? largest.scale(kLargestByte) : 0.0f;
  }
  __syncthreads();
  if (warp == 0) strip[lane] = __float_as_uint(scales[lane]);
  for (int64_t start = 0; start < groups; start += kWarp) {
    for (int r = warp; r < kStripRows; r += kWarps) {
      const int count = first + r < rows ? run_length(depth - (start + lane) * kGroup) : 0;
      const float* from = weight + (first + r) * stride + (start + lane) * kGroup;
      words[lane][r] = count > 0 ? quantized(scales[r], load_floats(from, count), count) : 0;
    }
    __syncthreads();
    for (int g = warp; g < static_cast<int>(kWarp) && start + g < groups; g += kWarps)
      strip[(1 + start + g) * kStripRows + lane] = words[g][lane];
    __syncthreads();
  }
}

/// The same from a weight that lies across: a lane has a row of the strip, warps share the depth.
extern "C" __global__ void quantize_columns(void* out, int64_t rows, int64_t depth, const float* weight,
                                            int64_t stride) {
  __shared__ float values[kWarps][kStripRows], wrongs[kWarps][kStripRows];
  const int lane = threadIdx.x, warp = threadIdx.y;
  const int64_t row = static_cast<int64_t>(blockIdx.x) * kStripRows + lane, groups = groups_of(depth);
  uint32_t* strip = strip_of(out, blockIdx.x, depth);
  Largest largest;
  for (int64_t c = warp; c < depth && row < rows; c += kWarps) largest.take(weight[c * stride + row]);
  values[warp][lane] = largest.value;
  wrongs[warp][lane] = largest.wrong;
  __syncthreads();
  for (int w = 0; w < kWarps; ++w) largest.join(values[w][lane], wrongs[w][lane]);
  const float scale = row < rows ? largest.scale(kLargestByte) : 0.0f;
  if (warp == 0) strip[lane] = __float_as_uint(scale);
  for (int64_t group = warp; group < groups; group += kWarps) {
    const int count = row < rows ? run_length(depth - group * kGroup) : 0;
    Four value = {};
#pragma unroll
    for (int i = 0; i < kGroup; ++i) {
      if (i < count) value.at[i] = weight[(group * kGroup + i) * stride + row];
    }
    strip[(1 + group) * kStripRows + lane] = quantized(scale, value, count);
  }
}

/// Rows of a as digits, a tile of 8 a block and a row a warp: in each tile group by group and row by row the
/// word of the high bytes and that of the low ones. Rows that are missing in the last tile are zero.
extern "C" __global__ void int8_digits(uint2* digits, float* scales, ConstRows a) {
  __shared__ uint2 words[kWarp * kTileRows];
  const int lane = threadIdx.x, warp = threadIdx.y;
  const int64_t tile = blockIdx.x, row = tile * kTileRows + warp, groups = groups_of(a.cols);
  const bool inside = row < a.rows;
  Largest largest;
  for (int64_t c = lane * kRun; inside && c < a.cols; c += kWarp * kRun)
    largest.take(load(a, row, c, run_length(a.cols - c)));
  largest.join_warp();
  const float scale = largest.scale(kLargestPair);
  if (lane == 0) scales[row] = inside ? scale : 0.0f;
  for (int64_t start = 0; start < groups; start += kWarp) {
    const int count = inside ? run_length(a.cols - (start + lane) * kGroup) : 0;
    int high[kGroup] = {}, low[kGroup] = {};
    if (count > 0) {
      const Four value = load(a, row, (start + lane) * kGroup, count);
#pragma unroll
      for (int i = 0; i < kGroup; ++i) {
        const int number = rounded(value.at[i], scale, kLargestPair);
        high[i] = (number + 128) >> 8;
        low[i] = number - high[i] * 256;
      }
    }
    // Columns of the table are rows of the tile, placed so that lanes do not meet in a bank.
    words[lane * kTileRows + ((warp + lane / 2) & (kTileRows - 1))] = make_uint2(packed(high), packed(low));
    __syncthreads();
    const int at = warp * kWarp + lane, group = at / kTileRows;
    if (start + group < groups) {
      digits[(tile * groups + start) * kTileRows + at] =
          words[group * kTileRows + ((at + group / 2) & (kTileRows - 1))];
    }
    __syncthreads();
  }
}

/// A strip of the weight and 8 rows of a: a lane has a column of the result, warps share the depth. A word of
/// the weight, 128 bytes a warp, serves 8 rows; digits are the same for all lanes.
extern "C" __global__ void int8_product(const void* weight, const uint2* digits, const float* scales,
                                        int64_t depth, uint32_t strips, ProductOutput to) {
  __shared__ int sums[kWarps][2][kTileRows][kStripRows];
  __shared__ __align__(16) float results[kTileRows][kStripRows];
  const int lane = threadIdx.x, warp = threadIdx.y;
  const int64_t strip_number = blockIdx.x % strips, tile = blockIdx.x / strips, groups = groups_of(depth);
  const uint32_t* strip = strip_of(const_cast<void*>(weight), strip_number, depth);
  const uint4* pairs = reinterpret_cast<const uint4*>(digits + tile * groups * kTileRows);
  int high[kTileRows] = {}, low[kTileRows] = {};
#pragma unroll 2
  for (int64_t group = warp; group < groups; group += kWarps) {
    const int w = static_cast<int>(strip[(1 + group) * kStripRows + lane]);
#pragma unroll
    for (int r = 0; r < kTileRows; r += 2) {
      const uint4 two = pairs[(group * kTileRows + r) / 2];
      high[r] = __dp4a(w, static_cast<int>(two.x), high[r]);
      low[r] = __dp4a(w, static_cast<int>(two.y), low[r]);
      high[r + 1] = __dp4a(w, static_cast<int>(two.z), high[r + 1]);
      low[r + 1] = __dp4a(w, static_cast<int>(two.w), low[r + 1]);
    }
  }
#pragma unroll
  for (int r = 0; r < kTileRows; ++r) {
    sums[warp][0][r][lane] = high[r];
    sums[warp][1][r][lane] = low[r];
  }
  __syncthreads();
  int total[2] = {0, 0};  // of row `warp`
  for (int w = 0; w < kWarps; ++w) {
    total[0] += sums[w][0][warp][lane];
    total[1] += sums[w][1][warp][lane];
  }
  const double sum = 256.0 * total[0] + total[1];
  results[warp][lane] = static_cast<float>(sum * static_cast<double>(scales[tile * kTileRows + warp]) *
                                           static_cast<double>(__uint_as_float(strip[lane])));
  __syncwarp();
  const int64_t row = tile * kTileRows + warp, col = strip_number * kStripRows + lane * kRun;
  const int count = run_length(to.out.cols - col);
  if (lane >= kStripRows / kRun || row >= to.out.rows || count == 0) return;
  const float4 all = *reinterpret_cast<const float4*>(&results[warp][lane * kRun]);
  finish_with_gelu(to, row, col, count, {all.x, all.y, all.z, all.w});
}

/// out[t] = (or +=) the row ids[t] of a table in int8: lanes along the row, a row a warp.
extern "C" __global__ void int8_embedding(Rows out, const void* table, int64_t table_rows, Indices ids,
                                          bool accumulate) {
  const int64_t t = static_cast<int64_t>(blockIdx.x) * blockDim.y + threadIdx.y;
  if (t >= out.rows) return;
  const int64_t row = index_at(ids, t, table_rows);
  const uint32_t* strip = strip_of(const_cast<void*>(table), row / kStripRows, out.cols);
  const float scale = __uint_as_float(strip[row % kStripRows]);
  for (int64_t col = threadIdx.x * kRun; col < out.cols; col += kWarp * kRun) {
    const int count = run_length(out.cols - col);
    const auto word = static_cast<int>(strip[(1 + col / kGroup) * kStripRows + row % kStripRows]);
    Four value;
#pragma unroll
    for (int i = 0; i < kRun; ++i) value.at[i] = scale * static_cast<float>(word << (24 - 8 * i) >> 24);
    if (accumulate) add(value, load(out, t, col, count));
    store(out, t, col, value, count);
  }
}

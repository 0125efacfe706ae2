// Products of experts: rows of one lie behind each other, how many is known on the device alone. The grid
// covers the worst case (each expert adds at most one tile that is not full), and each block finds out from
// the offsets which expert's tile it is; blocks behind the last one leave at once.

#include "cuda/few_rows.cuh"
#include "cuda/float_product.cuh"
#include "cuda/half_product.cuh"

using namespace gristmill::runtime::cuda;

namespace {

/// The rows [begin, end) of an expert from a tile's first row on; expert -1: no such tile.
struct Segment {
  int expert, begin, end;
};

__device__ inline int offset_at(const Indices& offsets, int64_t e) {
  return offsets.data[e * offsets.stride];
}

/// The rows of expert e, which must lie in order within `rows`: what does not is an error of the caller.
__device__ inline Segment rows_of_expert(const Indices& offsets, int64_t e, int64_t rows) {
  const int begin = offset_at(offsets, e), end = offset_at(offsets, e + 1);
  if (begin < 0 || begin > end || end > rows) __trap();
  return {static_cast<int>(e), begin, end};
}

/// The `tile`-th tile of kRows rows. Each warp looks for itself: lanes have an expert each, and count the
/// tiles before theirs.
template <int kRows>
__device__ inline Segment find_tile(const Indices& offsets, int64_t rows, int tile) {
  const int lane = threadIdx.x % kWarp;
  int before = 0;  // tiles of experts before those of this turn
  for (int64_t first = 0; first + 1 < offsets.count; first += kWarp) {
    Segment segment = {-1, 0, 0};
    if (first + lane + 1 < offsets.count) segment = rows_of_expert(offsets, first + lane, rows);
    const int tiles = (segment.end - segment.begin + kRows - 1) / kRows;
    int through = tiles;
#pragma unroll
    for (int distance = 1; distance < static_cast<int>(kWarp); distance *= 2) {
      const int more = __shfl_up_sync(kWholeWarp, through, distance);
      if (lane >= distance) through += more;
    }
    const int own = tile - before - (through - tiles);
    const uint32_t found = __ballot_sync(kWholeWarp, own >= 0 && own < tiles);
    if (found != 0) {
      const int owner = __ffs(found) - 1;
      return {__shfl_sync(kWholeWarp, segment.expert, owner),
              __shfl_sync(kWholeWarp, segment.begin + own * kRows, owner),
              __shfl_sync(kWholeWarp, segment.end, owner)};
    }
    before += __shfl_sync(kWholeWarp, through, kWarp - 1);
  }
  return {-1, 0, 0};
}

template <class Element>
__device__ inline Operand moved(const Operand& operand, int64_t elements) {
  return {static_cast<const Element*>(operand.data) + elements, operand.stride};
}

template <class Product, class Element>
__device__ inline void grouped_tile(const Operand& a, const Operand& b, int depth, const Experts& experts,
                                    uint32_t across, const ProductOutput& to) {
  const TilePlace place = tile_place(blockIdx.x, gridDim.x / across, across);
  const Segment rows = find_tile<Product::kRows>(experts.offsets, to.out.rows, place.down);
  if (rows.expert < 0) return;
  Product::run(a, moved<Element>(b, rows.expert * experts.stride), depth, rows.begin, rows.end,
               columns_of<Product::kCols>(to, place.across), to);
}

/// dweight of one expert: depth are its rows. `to.out` is that of expert 0.
template <class Product, class Element>
__device__ inline void gradient_tile(const Operand& dout, const Operand& a, int64_t rows,
                                     const Experts& experts, uint32_t across, ProductOutput to) {
  const uint32_t tiles = static_cast<uint32_t>((to.out.rows + Product::kRows - 1) / Product::kRows) * across;
  const uint32_t expert = blockIdx.x / tiles;
  const Segment depth = rows_of_expert(experts.offsets, expert, rows);
  if (depth.begin == depth.end) return;  // adds nothing
  const TilePlace place = tile_place(blockIdx.x - expert * tiles, tiles / across, across);
  to.out.data = static_cast<float*>(to.out.data) + expert * experts.stride;
  Product::run(moved<Element>(dout, depth.begin * dout.stride), moved<Element>(a, depth.begin * a.stride),
               depth.end - depth.begin, place.down * Product::kRows, static_cast<int>(to.out.rows),
               columns_of<Product::kCols>(to, place.across), to);
}

}  // namespace

extern "C" __global__ void __launch_bounds__(128, 4)
    grouped_half_n(Operand a, Operand b, int32_t depth, Experts experts, uint32_t across, ProductOutput to) {
  grouped_tile<HalfProduct<64, 64, false, true>, uint16_t>(a, b, depth, experts, across, to);
}
extern "C" __global__ void __launch_bounds__(128, 4)
    grouped_half_t(Operand a, Operand b, int32_t depth, Experts experts, uint32_t across, ProductOutput to) {
  grouped_tile<HalfProduct<64, 64, false, false>, uint16_t>(a, b, depth, experts, across, to);
}
extern "C" __global__ void __launch_bounds__(128, 3)
    grouped_float_n(Operand a, Operand b, int32_t depth, Experts experts, uint32_t across, ProductOutput to) {
  grouped_tile<FloatProduct<false, true>, float>(a, b, depth, experts, across, to);
}
extern "C" __global__ void __launch_bounds__(128, 3)
    grouped_float_t(Operand a, Operand b, int32_t depth, Experts experts, uint32_t across, ProductOutput to) {
  grouped_tile<FloatProduct<false, false>, float>(a, b, depth, experts, across, to);
}

extern "C" __global__ void __launch_bounds__(128, 4)
    grouped_half_gradient(Operand dout, Operand a, int64_t rows, Experts experts, uint32_t across,
                          ProductOutput to) {
  gradient_tile<HalfProduct<64, 64, true, true>, uint16_t>(dout, a, rows, experts, across, to);
}
extern "C" __global__ void __launch_bounds__(128, 3)
    grouped_float_gradient(Operand dout, Operand a, int64_t rows, Experts experts, uint32_t across,
                           ProductOutput to) {
  gradient_tile<FloatProduct<true, true>, float>(dout, a, rows, experts, across, to);
}

/// Few rows, each for itself with its expert's matrix as it is stored: row blockIdx.y.
extern "C" __global__ void grouped_few_rows(ConstRows a, ConstRows b, bool round, Experts experts,
                                            ProductOutput to) {
  const Segment row = find_tile<1>(experts.offsets, to.out.rows, blockIdx.y);
  if (row.expert < 0) return;
  const int64_t first = row.expert * experts.stride;
  b.data = b.narrow ? static_cast<const void*>(static_cast<const uint16_t*>(b.data) + first)
                    : static_cast<const void*>(static_cast<const float*>(b.data) + first);
  few_rows<1>(a, b, round, row.begin, to);
}

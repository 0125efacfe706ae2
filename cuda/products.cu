// Products in bf16, and those of few rows in any type. Names of tile kernels: the operand a, then b; "n" is
// stored as it stands in the product, "t" transposed.

#include "cuda/few_rows.cuh"
#include "cuda/half_product.cuh"

using namespace gristmill::runtime::cuda;

namespace {

template <class Product>
__device__ inline void product_tile(const Operand& a, const Operand& b, int depth, uint32_t across,
                                    const ProductOutput& to) {
  const TilePlace place = tile_place(blockIdx.x, gridDim.x / across, across);
  Product::run(a, b, depth, place.down * Product::kRows, static_cast<int>(to.out.rows),
               columns_of<Product::kCols>(to, place.across), to);
}

}  // namespace

extern "C" __global__ void __launch_bounds__(256)
    half_nn(Operand a, Operand b, int32_t depth, uint32_t across, ProductOutput to) {
  product_tile<HalfProduct<128, 128, false, true>>(a, b, depth, across, to);
}
extern "C" __global__ void __launch_bounds__(256)
    half_nt(Operand a, Operand b, int32_t depth, uint32_t across, ProductOutput to) {
  product_tile<HalfProduct<128, 128, false, false>>(a, b, depth, across, to);
}
extern "C" __global__ void __launch_bounds__(256)
    half_tn(Operand a, Operand b, int32_t depth, uint32_t across, ProductOutput to) {
  product_tile<HalfProduct<128, 128, true, true>>(a, b, depth, across, to);
}
extern "C" __global__ void __launch_bounds__(256)
    half_tt(Operand a, Operand b, int32_t depth, uint32_t across, ProductOutput to) {
  product_tile<HalfProduct<128, 128, true, false>>(a, b, depth, across, to);
}
extern "C" __global__ void __launch_bounds__(128, 4)
    half_small_nn(Operand a, Operand b, int32_t depth, uint32_t across, ProductOutput to) {
  product_tile<HalfProduct<64, 64, false, true>>(a, b, depth, across, to);
}
extern "C" __global__ void __launch_bounds__(128, 4)
    half_small_nt(Operand a, Operand b, int32_t depth, uint32_t across, ProductOutput to) {
  product_tile<HalfProduct<64, 64, false, false>>(a, b, depth, across, to);
}
extern "C" __global__ void __launch_bounds__(128, 4)
    half_small_tn(Operand a, Operand b, int32_t depth, uint32_t across, ProductOutput to) {
  product_tile<HalfProduct<64, 64, true, true>>(a, b, depth, across, to);
}
extern "C" __global__ void __launch_bounds__(128, 4)
    half_small_tt(Operand a, Operand b, int32_t depth, uint32_t across, ProductOutput to) {
  product_tile<HalfProduct<64, 64, true, false>>(a, b, depth, across, to);
}

extern "C" __global__ void few_rows_1(ConstRows a, ConstRows b, bool round, ProductOutput to) {
  few_rows<1>(a, b, round, 0, to);
}
extern "C" __global__ void few_rows_4(ConstRows a, ConstRows b, bool round, ProductOutput to) {
  few_rows<4>(a, b, round, 4 * blockIdx.y, to);
}
extern "C" __global__ void few_rows_8(ConstRows a, ConstRows b, bool round, ProductOutput to) {
  few_rows<8>(a, b, round, 8 * blockIdx.y, to);
}

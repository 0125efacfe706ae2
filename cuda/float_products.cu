// Products in f32; names as in products.cu.

#include "cuda/float_product.cuh"

using namespace gristmill::runtime::cuda;

namespace {

template <bool kAcrossA, bool kAcrossB>
__device__ inline void product_tile(const Operand& a, const Operand& b, int depth, uint32_t across,
                                    const ProductOutput& to) {
  using Product = FloatProduct<kAcrossA, kAcrossB>;
  const TilePlace place = tile_place(blockIdx.x, gridDim.x / across, across);
  Product::run(a, b, depth, place.down * Product::kRows, static_cast<int>(to.out.rows),
               columns_of<Product::kCols>(to, place.across), to);
}

}  // namespace

extern "C" __global__ void __launch_bounds__(128, 3)
    float_nn(Operand a, Operand b, int32_t depth, uint32_t across, ProductOutput to) {
  product_tile<false, true>(a, b, depth, across, to);
}
extern "C" __global__ void __launch_bounds__(128, 3)
    float_nt(Operand a, Operand b, int32_t depth, uint32_t across, ProductOutput to) {
  product_tile<false, false>(a, b, depth, across, to);
}
extern "C" __global__ void __launch_bounds__(128, 3)
    float_tn(Operand a, Operand b, int32_t depth, uint32_t across, ProductOutput to) {
  product_tile<true, true>(a, b, depth, across, to);
}
extern "C" __global__ void __launch_bounds__(128, 3)
    float_tt(Operand a, Operand b, int32_t depth, uint32_t across, ProductOutput to) {
  product_tile<true, false>(a, b, depth, across, to);
}

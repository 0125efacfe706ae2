#include "cuda/backend.hpp"
#include "cuda/tiles.hpp"

namespace gristmill::runtime::cuda {

void CudaBackend::fill(View out_view, double value) {
  checks::fill(out_view, DType::f32);
  Rows out = rows_of(out_view);
  flatten(out);
  const Tiles tiles = tiled(out.rows, out.cols);
  gpu_.launch("elementary/fill", tiles.shape, out, tiles.across, static_cast<float>(value));
}

}  // namespace gristmill::runtime::cuda

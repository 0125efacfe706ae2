#include "cuda/backend.hpp"
#include "cuda/tiles.hpp"

namespace gristmill::runtime::cuda {

namespace {

constexpr int64_t kHeads = 4;  // of a thread, as in rotary.cu

}  // namespace

void CudaBackend::rotary(View x, ConstView positions, ConstView inverse_frequency, int64_t heads,
                         int64_t head_dim, bool inverse) {
  checks::rotary(x, positions, inverse_frequency, heads, head_dim, types_);
  Tiles tiles = tiled(x.rows, head_dim / 2);
  tiles.shape.grid.y = blocks_for(heads, kHeads);
  gpu_.launch("rotary/rotary", tiles.shape, rows_of(x), indices_of(positions), rows_of(inverse_frequency),
              heads, head_dim, inverse ? -1.0F : 1.0F, tiles.across);
  written(x);
}

}  // namespace gristmill::runtime::cuda

#include <utility>

#include "cuda/backend.hpp"
#include "cuda/tiles.hpp"

namespace gristmill::runtime::cuda {

namespace {

// As in embedding.cu.
constexpr int64_t kDigits = 256, kTileKeys = 256, kScanThreads = 1024;
constexpr int kDigitBits = 8;

}  // namespace

void CudaBackend::embedding(View out, ConstView table, ConstView ids, bool accumulate) {
  checks::embedding(out, table, ids, types_);
  written(out);
  if (table.dtype == DType::i8) return int8_embedding(out, table, ids, accumulate);
  const Tiles tiles = tiled(out.rows, out.cols);
  gpu_.launch("embedding/embedding", tiles.shape, rows_of(out), rows_of(table), indices_of(ids), accumulate,
              tiles.across);
}

CudaBackend::Sorted CudaBackend::sorted(Indices keys, int64_t limit) {
  const int64_t size = keys.count, tiles = blocks_for(size, kTileKeys);
  int32_t* memory = keys_.get<int32_t>(4 * size + kDigits * tiles);
  int32_t *to = memory, *spare = memory + 2 * size, *counts = memory + 4 * size;
  const int32_t* values = nullptr;
  int shift = 0;
  do {
    gpu_.launch("embedding/sort_count", {{tiles}, {32}}, keys, limit, shift, counts);
    gpu_.launch("embedding/sort_scan", {{1}, {kScanThreads}}, counts, kDigits * tiles);
    gpu_.launch("embedding/sort_place", {{tiles}, {32}}, keys, values, shift,
                static_cast<const int32_t*>(counts), to, to + size);
    keys = {to, size, 1};
    values = to + size;
    std::swap(to, spare);
    shift += kDigitBits;
  } while ((limit - 1) >> shift > 0);
  return {keys.data, values};
}

void CudaBackend::embedding_backward(View dtable, ConstView dout, ConstView ids) {
  checks::embedding(dout, dtable, ids, types_);
  checks::embedding_gradient(dtable, types_);
  if (ids.rows == 0) return;
  const Sorted tokens = sorted(indices_of(ids), dtable.rows);
  const Tiles tiles = tiled(dout.rows, dout.cols);
  gpu_.launch("embedding/embedding_backward", tiles.shape, rows_of(dtable), rows_of(dout), tokens.keys,
              tokens.order, tiles.across);
  written(dtable);
}

}  // namespace gristmill::runtime::cuda

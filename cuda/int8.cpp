#include "runtime/int8.hpp"

#include "cuda/backend.hpp"
#include "cuda/products.hpp"

namespace gristmill::runtime::cuda {

namespace {

constexpr int64_t kWarps = 8, kTileRows = 8;  // as in int8.cu

}  // namespace

void CudaBackend::quantize(View out, ConstView weight, bool transposed) {
  checks::quantize(out, weight, transposed, types_);
  gpu_.launch(transposed ? "int8/quantize_columns" : "int8/quantize_rows",
              {{int8_strips(out.rows)}, {32, kWarps}}, out.data, out.rows, out.cols,
              static_cast<const float*>(weight.data), weight.stride);
  written(out.data, static_cast<size_t>(int8_bytes(out.rows, out.cols)));
}

void CudaBackend::int8_product(const Matmul& args, const ProductOutput& to) {
  const int64_t depth = args.b.cols, tiles = blocks_for(args.out.rows, kTileRows),
                strips = int8_strips(args.out.cols), padded = tiles * kTileRows;
  // A pair of words for each row and group, then the scales.
  auto* digits = digits_.get<uint32_t>(padded * (2 * int8_groups(depth) + 1));
  auto* scales = reinterpret_cast<float*>(digits + padded * 2 * int8_groups(depth));
  gpu_.launch("int8/int8_digits", {{tiles}, {32, kTileRows}}, digits, scales, rows_of(args.a));
  gpu_.launch("int8/int8_product", {{tiles * strips}, {32, kWarps}}, args.b.data,
              static_cast<const uint32_t*>(digits), static_cast<const float*>(scales), depth,
              static_cast<uint32_t>(strips), to);
}

void CudaBackend::int8_embedding(View out, ConstView table, ConstView ids, bool accumulate) {
  gpu_.launch("int8/int8_embedding", {{blocks_for(out.rows, kWarps)}, {32, kWarps}}, rows_of(out), table.data,
              table.rows, indices_of(ids), accumulate);
}

}  // namespace gristmill::runtime::cuda

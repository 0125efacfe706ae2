#include <algorithm>

#include "cuda/backend.hpp"
#include "cuda/products.hpp"

namespace gristmill::runtime::cuda {

namespace {

// As in the kernels.
constexpr TileShape kHalf{64, 64, 128}, kFloat{64, 128, 128};
constexpr int64_t kFewCols = 16, kFewThreads = 128, kMostFewRows = 64;

Experts experts_of(const ConstView& offsets, int64_t stride) { return {indices_of(offsets), stride}; }

}  // namespace

void CudaBackend::grouped_matmul(const GroupedMatmul& args) {
  checks::grouped_matmul(args, types_);
  const int64_t rows = args.out.rows, cols = args.out.cols, count = args.offsets.rows - 1;
  if (rows == 0 || cols == 0) return;
  ProductOutput to = {};
  to.out = rows_of(args.out);
  to.accumulate = args.accumulate;
  const bool halves = types_.compute == DType::bf16;
  ConstView weight = args.b;
  int64_t stride = args.expert_stride;
  const KeptWeights::Weight all{args.b, count, stride};
  if (const KeptWeights::Copy* copy = args.keep_b ? kept_copy(all) : nullptr; copy != nullptr) {
    weight = all.copy_of(*copy, 0);
    stride = weight.rows * weight.stride;
  }
  written(args.out);
  if (rows <= kMostFewRows && args.transpose_b) {  // would cost more to copy all experts' weights
    gpu_.launch("grouped/grouped_few_rows", {{blocks_for(cols, kFewCols), rows}, {kFewThreads}},
                rows_of(args.a), rows_of(weight), halves, experts_of(args.offsets, stride), to);
    return;
  }
  const TileShape tile = halves ? kHalf : kFloat;
  const Operand a = operand(args.a, left_, 1, nullptr), b = operand(weight, right_, count, &stride);
  const char* kernel = halves ? (args.transpose_b ? "grouped/grouped_half_t" : "grouped/grouped_half_n")
                              : (args.transpose_b ? "grouped/grouped_float_t" : "grouped/grouped_float_n");
  const int64_t across = blocks_for(cols, tile.cols),
                down = std::min(blocks_for(rows, tile.rows) + count, rows);
  gpu_.launch(kernel, {{down * across}, {tile.threads}}, a, b, side_of(args.a.cols),
              experts_of(args.offsets, stride), static_cast<uint32_t>(across), to);
}

void CudaBackend::grouped_matmul_gradient(View dweight, int64_t expert_stride, ConstView dout, ConstView a,
                                          ConstView offsets) {
  checks::grouped_matmul_gradient(dweight, expert_stride, dout, a, offsets, types_);
  if (dweight.size() == 0 || a.rows == 0) return;
  ProductOutput to = {};
  to.out = rows_of(dweight);
  to.accumulate = true;
  const bool halves = types_.compute == DType::bf16;
  const TileShape tile = halves ? kHalf : kFloat;
  const Operand left = operand(dout, left_, 1, nullptr), right = operand(a, right_, 1, nullptr);
  const int64_t across = blocks_for(dweight.cols, tile.cols), down = blocks_for(dweight.rows, tile.rows);
  gpu_.launch(halves ? "grouped/grouped_half_gradient" : "grouped/grouped_float_gradient",
              {{(offsets.rows - 1) * down * across}, {tile.threads}}, left, right, a.rows,
              experts_of(offsets, expert_stride), static_cast<uint32_t>(across), to);
  View all = dweight;  // of all experts
  all.rows = 1;
  all.cols = (offsets.rows - 2) * expert_stride + (dweight.rows - 1) * dweight.stride + dweight.cols;
  written(all);
}

}  // namespace gristmill::runtime::cuda

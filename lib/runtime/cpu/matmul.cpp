// Splits products over threads: large ones pack b once for all and cut out into blocks; products of few rows
// (decoding) read b just once, each thread packing its own panels in cache.

#include <algorithm>
#include <vector>

#include "runtime/checks.hpp"
#include "runtime/cpu/backend.hpp"

namespace gristmill::runtime::cpu {

namespace {

constexpr int64_t kFewRows = 64;

int64_t round_up(int64_t size, int64_t unit) { return (size + unit - 1) / unit * unit; }

/// The block of out from (row, col); its scratch is not set.
ProductBlock block_of(const Product& args, const float* packed_b, int64_t row, int64_t rows, int64_t col,
                      int64_t cols) {
  ProductBlock block;
  block.rows = rows;
  block.cols = cols;
  block.depth = args.depth();
  block.a = args.transpose_a ? args.a.data + row : args.a.row(row);
  block.a_stride = args.a.stride;
  block.a_transposed = args.transpose_a;
  if (packed_b != nullptr) block.packed_b = packed_b + col * block.depth;
  block.b = args.transpose_b ? args.b.row(col) : args.b.data + col;
  block.b_stride = args.b.stride;
  block.b_transposed = args.transpose_b;
  block.out = args.out.row(row) + col;
  block.out_stride = args.out.stride;
  block.accumulate = args.accumulate;
  if (args.bias) block.bias = args.bias.data + col;
  if (args.residual) {
    block.residual = args.residual.row(row) + col;
    block.residual_stride = args.residual.stride;
  }
  return block;
}

}  // namespace

const float* CpuBackend::pack(std::vector<float>& memory, const Matrix<const float>& b, bool transposed) {
  const int64_t cols = transposed ? b.rows : b.cols, depth = transposed ? b.cols : b.rows,
                unit = kernels_.tile_cols;
  const size_t size = static_cast<size_t>(round_up(cols, unit) * depth);
  if (memory.size() < size) memory.resize(size);
  each_block(cols, 4 * unit, 0.5 * static_cast<double>(depth), [&](int64_t first, int64_t count) {
    kernels_.pack_b(memory.data() + first * depth, transposed ? b.row(first) : b.data + first, b.stride,
                    transposed, count, depth);
  });
  return memory.data();
}

void CpuBackend::product_blocks(const Product& args, const float* packed_b, int64_t block_rows,
                                int64_t block_cols) {
  const int64_t across = (args.out.cols + block_cols - 1) / block_cols;
  const int64_t down = (args.out.rows + block_rows - 1) / block_rows;
  const double work = static_cast<double>(args.out.rows * args.out.cols) * static_cast<double>(args.depth());
  each_block(across * down, 1, work / 50 / static_cast<double>(across * down), [&](int64_t i, int64_t) {
    const int64_t row = i / across * block_rows, col = i % across * block_cols;
    ProductBlock block = block_of(args, packed_b, row, std::min(block_rows, args.out.rows - row), col,
                                  std::min(block_cols, args.out.cols - col));
    block.scratch =
        thread_scratch(kernels_.product_scratch(block.rows, block.cols, block.depth, packed_b != nullptr));
    kernels_.product(block);
  });
}

void CpuBackend::product(const Product& args) {
  const int64_t unit = kernels_.tile_cols, rows = args.out.rows, cols = args.out.cols;
  if (rows == 0 || cols == 0) return;
  if (rows <= kFewRows && args.packed_b == nullptr) {
    const int64_t share = (cols + pool_.threads() * 4 - 1) / (pool_.threads() * 4);
    return product_blocks(args, nullptr, rows, std::min<int64_t>(round_up(share, unit), 16 * unit));
  }
  const float* packed_b = args.packed_b != nullptr ? args.packed_b : pack(packed_, args.b, args.transpose_b);
  const int64_t block_rows = 8 * kernels_.tile_rows;
  int64_t block_cols = std::min<int64_t>(round_up(cols, unit), 1024 / unit * unit);
  const int64_t down = (rows + block_rows - 1) / block_rows;
  while (block_cols > 4 * unit && down * ((cols + block_cols - 1) / block_cols) < 4 * pool_.threads()) {
    block_cols = round_up(block_cols / 2, unit);
  }
  product_blocks(args, packed_b, block_rows, block_cols);
}

void CpuBackend::matmul(const Matmul& args) {
  checks::matmul(args, DType::f32);
  product({args.out, args.a, args.b, args.transpose_a, args.transpose_b, args.accumulate, args.bias,
           args.residual, nullptr});
}

}  // namespace gristmill::runtime::cpu

// Splits products over threads: large ones pack b once for all and cut out into blocks; products of few rows
// (decoding) read b just once, from its kept panels, or each thread packing its own in cache.

#include <algorithm>
#include <vector>

#include "runtime/checks.hpp"
#include "runtime/cpu/backend.hpp"
#include "runtime/cpu/operands.hpp"

namespace gristmill::runtime::cpu {

namespace {

constexpr int64_t kFewRows = 64;
constexpr int64_t kKeepRows = 512;  // up to so many rows panels of bf16 are kept
// A block of out: few enough rows that packed a stays in the second-level cache, and many columns, for a is
// packed anew for each block; and blocks enough that threads finish at about the same time.
constexpr int64_t kBlockTiles = 8, kBlockCols = 4096, kTasksPerThread = 8;

int64_t steps_of(const Products& products, int64_t depth) {
  return (depth + products.step - 1) / products.step;
}

int64_t round_up(int64_t size, int64_t unit) { return (size + unit - 1) / unit * unit; }

/// The operand from its row, or from its column, `first` on.
Operand from_row(Operand m, int64_t first) {
  m.data = static_cast<const char*>(m.data) + first * m.stride * (m.narrow ? 2 : 4);
  return m;
}
Operand from_col(Operand m, int64_t first) {
  m.data = static_cast<const char*>(m.data) + first * (m.narrow ? 2 : 4);
  return m;
}

int64_t depth_of(const Matmul& args) { return args.transpose_a ? args.a.rows : args.a.cols; }

/// The block of out from (row, col); its packed panels and its scratch are not set.
ProductBlock block_of(const Matmul& args, int64_t row, int64_t rows, int64_t col, int64_t cols) {
  ProductBlock block = output_block(args, row, rows, col, cols);
  block.a = operand_of(args.a, args.transpose_a);
  block.a = args.transpose_a ? from_col(block.a, row) : from_row(block.a, row);
  block.b = operand_of(args.b, args.transpose_b);
  block.b = args.transpose_b ? from_row(block.b, col) : from_col(block.b, col);
  return block;
}

}  // namespace

ProductBlock output_block(const Matmul& args, int64_t row, int64_t rows, int64_t col, int64_t cols) {
  ProductBlock block;
  block.rows = rows;
  block.cols = cols;
  block.depth = depth_of(args);
  const View out = View(args.out.row_range(row, rows).col_range(col, cols));
  block.out = out.data;
  block.out_stride = out.stride;
  block.out_narrow = out.dtype == DType::bf16;
  block.accumulate = args.accumulate;
  if (args.bias) block.bias = static_cast<const float*>(args.bias.data) + col;
  if (args.residual) {
    const Matrix<const float> residual(args.residual);
    block.residual = residual.row(row) + col;
    block.residual_stride = residual.stride;
  }
  if (args.activation != Activation::none) {
    const View activated = args.activated.row_range(row, rows).col_range(col, cols);
    block.activated = activated.data;
    block.activated_stride = activated.stride;
    block.activated_narrow = activated.dtype == DType::bf16;
  }
  return block;
}

int64_t CpuBackend::panel_floats(const ConstView& b, bool transposed) const {
  const int64_t cols = transposed ? b.rows : b.cols, depth = transposed ? b.cols : b.rows;
  return round_up(cols, products_.tile_cols) * steps_of(products_, depth);
}

void CpuBackend::pack(float* memory, const ConstView& b, bool transposed) {
  const int64_t cols = transposed ? b.rows : b.cols, depth = transposed ? b.cols : b.rows;
  const Operand whole = operand_of(b, transposed);
  each_block(cols, 4 * products_.tile_cols, 0.3 * static_cast<double>(depth),
             [&](int64_t first, int64_t count) {
               products_.pack_b(memory + first * steps_of(products_, depth),
                                transposed ? from_row(whole, first) : from_col(whole, first), count, depth);
             });
}

const float* CpuBackend::pack_once(std::vector<float>& memory, const ConstView& b, bool transposed) {
  const auto size = static_cast<size_t>(panel_floats(b, transposed));
  if (memory.size() < size) memory.resize(size);
  pack(memory.data(), b, transposed);
  return memory.data();
}

/// Packing costs a hundredth of a product of some hundred rows, and memory in both directions of every
/// weight: it pays for products of few rows, in f32 (panels as large as the weight) for decoding only, which
/// reads the weight once a token. Panels that are there serve any product.
const float* CpuBackend::kept_panels(const ConstView& b, bool transposed, int64_t rows) {
  if (b.dtype == DType::i8) return nullptr;  // packed as it is
  PanelCache::Panels* panels = panels_.find(b, transposed);
  if (panels != nullptr && panels->fresh) return panels->floats.get();
  if (rows > (types_.compute == DType::f32 ? kFewRows : kKeepRows)) return nullptr;
  if (panels == nullptr) panels = &panels_.get(b, transposed, panel_floats(b, transposed));
  pack(panels->floats.get(), b, transposed);
  panels->fresh = true;
  return panels->floats.get();
}

/// With SwiGLU a block is as many columns of the gate and the same of `up`.
void CpuBackend::product_blocks(const Matmul& args, const float* packed_b, int64_t block_rows,
                                int64_t block_cols) {
  const int64_t halves = args.activation == Activation::swiglu ? 2 : 1, cols = args.out.cols / halves;
  block_cols = round_up(block_cols / halves, products_.tile_cols);
  const int64_t across = (cols + block_cols - 1) / block_cols, depth = depth_of(args);
  const int64_t down = (args.out.rows + block_rows - 1) / block_rows;
  const double work = static_cast<double>(args.out.rows * args.out.cols) * static_cast<double>(depth);
  each_block(across * down, 1, work / 50 / static_cast<double>(across * down), [&](int64_t i, int64_t) {
    const int64_t row = i / across * block_rows, col = i % across * block_cols;
    ProductBlock block =
        block_of(args, row, std::min(block_rows, args.out.rows - row), col, std::min(block_cols, cols - col));
    if (halves == 2) block.pair = cols;
    if (packed_b != nullptr) block.packed_b = packed_b + col * steps_of(products_, depth);
    block.scratch =
        thread_scratch(products_.scratch(block.rows, halves * block.cols, depth, packed_b != nullptr));
    products_.product(block);
  });
}

void CpuBackend::product(const Matmul& args, const float* packed_b) {
  if (args.b.dtype == DType::i8) return int8_product(args);
  const int64_t unit = products_.tile_cols, rows = args.out.rows, cols = args.out.cols;
  if (rows == 0 || cols == 0) return;
  if (rows <= kFewRows) {  // decoding: what counts is that b is read once, by all threads
    const int64_t share = (cols + pool_.threads() * 4 - 1) / (pool_.threads() * 4);
    return product_blocks(args, packed_b, rows, std::min<int64_t>(round_up(share, unit), 16 * unit));
  }
  if (packed_b == nullptr) packed_b = pack_once(packed_, args.b, args.transpose_b);
  const int64_t block_rows = kBlockTiles * products_.tile_rows;
  int64_t block_cols = std::min<int64_t>(round_up(cols, unit), kBlockCols / unit * unit);
  const int64_t down = (rows + block_rows - 1) / block_rows, threads = pool_.threads();
  while (threads > 1 && block_cols > 4 * unit &&
         down * ((cols + block_cols - 1) / block_cols) < kTasksPerThread * threads) {
    block_cols = round_up(block_cols / 2, unit);
  }
  product_blocks(args, packed_b, block_rows, block_cols);
}

/// Whether the kernels make the activation: the gate's and up's columns stand in panels of their own.
bool CpuBackend::makes_activation(const Matmul& args) const {
  if (args.b.dtype == DType::i8) return false;
  return args.activation != Activation::swiglu || args.activated.cols % products_.tile_cols == 0;
}

void CpuBackend::matmul(const Matmul& args) {
  checks::matmul(args, types_);
  const float* packed = args.keep_b ? kept_panels(args.b, args.transpose_b, args.out.rows) : nullptr;
  Matmul now = args;
  if (args.bias) {
    now.bias.data = floats_of(args.bias, bias_);
    now.bias.dtype = DType::f32;
  }
  if (!makes_activation(args)) now.activation = Activation::none;
  product(now, packed);
  written(args.out);
  if (args.activation == Activation::none) return;
  if (now.activation == args.activation) return written(args.activated);
  args.activation == Activation::gelu ? gelu(args.activated, args.out) : swiglu(args.activated, args.out);
}

}  // namespace gristmill::runtime::cpu

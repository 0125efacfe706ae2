// Weights in int8: making them, and splitting products with them over threads. Rows of a are packed once for
// all blocks; a weight is read once by few rows, and by many once a block.

#include <algorithm>

#include "runtime/checks.hpp"
#include "runtime/cpu/backend.hpp"
#include "runtime/int8.hpp"

namespace gristmill::runtime::cpu {

namespace {

constexpr int64_t kBlockRows = 96, kBlockStrips = 32;

/// Strip `strip` of a weight.
template <class Byte>
Byte* strip_of(Byte* data, const ConstView& weight, int64_t strip) {
  return data + strip * weight.stride;
}

}  // namespace

void CpuBackend::quantize(View out, ConstView weight_view, bool transposed) {
  checks::quantize(out, weight_view, transposed, types_);
  const Matrix<const float> weight(weight_view);
  const int64_t depth = out.cols;
  each_block(int8_strips(out.rows), 1, 20.0 * static_cast<double>(depth), [&](int64_t strip, int64_t) {
    const int64_t first = strip * kInt8StripRows, rows = std::min(kInt8StripRows, out.rows - first);
    char* to = strip_of(static_cast<char*>(out.data), out, strip);
    if (!transposed) {
      return kernels_.int8.pack_strip(to, weight.row(first), weight.stride, rows, depth);
    }
    float* turned = thread_scratch(rows * depth);
    for (int64_t c = 0; c < depth; ++c) {
      for (int64_t r = 0; r < rows; ++r) turned[r * depth + c] = weight.at(c, first + r);
    }
    kernels_.int8.pack_strip(to, turned, depth, rows, depth);
  });
  written(out);
}

/// All rows of a, a tile behind the other.
const char* CpuBackend::pack_int8_rows(const ConstView& a) {
  const auto& int8 = kernels_.int8;
  const int64_t depth = a.cols, bytes = int8.tile_bytes(depth),
                tiles = (a.rows + int8.tile_rows - 1) / int8.tile_rows;
  constexpr int64_t kLine = 64, kFloat = sizeof(float);
  const auto floats = static_cast<size_t>((tiles * bytes + kLine) / kFloat);
  if (packed_.size() < floats) packed_.resize(floats);
  auto* memory = reinterpret_cast<char*>(packed_.data());
  memory += (kLine - reinterpret_cast<intptr_t>(memory) % kLine) % kLine;
  const ComputedRows rows = computed(a);
  each_block(tiles, 1, static_cast<double>(int8.tile_rows * depth), [&](int64_t tile, int64_t) {
    const int64_t first = tile * int8.tile_rows, height = std::min(int8.tile_rows, a.rows - first);
    const auto from = rows.read(first, height, 0, depth, thread_scratch(height * depth));
    int8.pack_rows(memory + tile * bytes, from.data, from.stride, height, depth);
  });
  return memory;
}

void CpuBackend::int8_product(const Matmul& args) {
  const int64_t rows = args.out.rows, cols = args.out.cols, depth = args.b.cols;
  if (rows == 0 || cols == 0) return;
  const auto& int8 = kernels_.int8;
  const char* packed = pack_int8_rows(args.a);
  const int64_t threads = pool_.threads(), strips = int8_strips(cols);
  const int64_t share = threads == 1 ? kBlockStrips : (strips + 4 * threads - 1) / (4 * threads);
  const int64_t block_cols = kInt8StripRows * std::clamp<int64_t>(share, 1, kBlockStrips);
  static_assert(kBlockRows % 12 == 0);  // whole tiles of any instruction set
  const int64_t across = (cols + block_cols - 1) / block_cols, down = (rows + kBlockRows - 1) / kBlockRows;
  const double work = static_cast<double>(rows * cols) * static_cast<double>(depth);
  each_block(across * down, 1, work / 50 / static_cast<double>(across * down), [&](int64_t i, int64_t) {
    const int64_t row = i / across * kBlockRows, col = i % across * block_cols;
    Int8Block block;
    block.out =
        output_block(args, row, std::min(kBlockRows, rows - row), col, std::min(block_cols, cols - col));
    block.packed = packed + row / int8.tile_rows * int8.tile_bytes(depth);
    block.weight = strip_of(static_cast<const char*>(args.b.data), args.b, col / kInt8StripRows);
    int8.product(block);
  });
}

void CpuBackend::int8_row(float* out, const ConstView& weight, int64_t row) const {
  const char* strip = strip_of(static_cast<const char*>(weight.data), weight, row / kInt8StripRows);
  kernels_.int8.unpack_row(out, strip, row % kInt8StripRows, weight.cols);
}

}  // namespace gristmill::runtime::cpu

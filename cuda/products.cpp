// Products: which kernel makes them. Tile kernels copy 16 bytes at a time, so that an operand of another
// type, or one that does not lie on such boundaries, is first copied into scratch that does; that reads and
// writes it once, where a product reads it once for every 128 rows. Few rows go to a kernel that takes
// anything.

#include <algorithm>
#include <limits>

#include "base/error.hpp"
#include "cuda/backend.hpp"
#include "cuda/products.hpp"
#include "cuda/tiles.hpp"

namespace gristmill::runtime::cuda {

namespace {

// As in the kernels.
constexpr int64_t kFewCols = 4 * 4;  // columns of a block of few_rows.cuh
constexpr int64_t kFewThreads = 128;
constexpr int64_t kMostFewRows = 16;  // up to so many rows are made two times 8
constexpr const char* kLargeKernels[] = {"products/half_nn", "products/half_nt", "products/half_tn",
                                         "products/half_tt"};
constexpr const char* kSmallKernels[] = {"products/half_small_nn", "products/half_small_nt",
                                         "products/half_small_tn", "products/half_small_tt"};
constexpr const char* kFloatKernels[] = {"float_products/float_nn", "float_products/float_nt",
                                         "float_products/float_tn", "float_products/float_tt"};
constexpr TileShape kLarge{128, 128, 256}, kSmall{64, 64, 128}, kFloat{64, 128, 128};

bool few(const Matmul& args) {
  return args.out.rows <= kMostFewRows && args.transpose_b && !args.transpose_a;
}

/// Whether the kernels make the activation: SwiGLU where gates and ups can lie in one tile.
bool makes_activation(const Matmul& args) {
  if (args.activation != Activation::swiglu) return args.activation == Activation::gelu;
  return args.transpose_b && args.b.dtype != DType::i8 && !few(args);
}

bool fits(const ConstView& view, DType compute) {
  const auto size = static_cast<int64_t>(size_of(view.dtype));
  return view.dtype == compute && reinterpret_cast<uintptr_t>(view.data) % 16 == 0 &&
         (view.stride * size % 16 == 0 || view.rows <= 1);
}

}  // namespace

int32_t side_of(int64_t size) {
  if (size > std::numeric_limits<int32_t>::max() - 128) fail(Kind::internal, "matmul: a side of ", size);
  return static_cast<int32_t>(size);
}

TileShape tile_shape(DType compute, int64_t rows, int64_t cols, int64_t batch, int64_t multiprocessors) {
  if (compute == DType::f32) return kFloat;
  const int64_t blocks = blocks_for(rows, kLarge.rows) * blocks_for(cols, kLarge.cols) * batch;
  return blocks >= 2 * multiprocessors ? kLarge : kSmall;
}

ProductOutput output_of(const Matmul& args, bool activation) {
  ProductOutput to = {};
  to.out = rows_of(args.out);
  to.accumulate = args.accumulate;
  if (args.residual) to.residual = rows_of(args.residual);
  if (!activation) return to;
  to.activated = rows_of(args.activated);
  to.pairs = args.activation == Activation::swiglu;
  return to;
}

void CudaBackend::copy_matrices(View to, int64_t to_apart, ConstView from, int64_t from_apart,
                                int64_t count) {
  const auto as_rows = [&](auto view, int64_t apart) {  // a matrix a row
    auto rows = view.reshaped(count, view.rows * view.cols);
    rows.stride = apart;
    return rows;
  };
  if (count > 1 && from.stride == from.cols && to.stride == to.cols) {
    return copy(as_rows(to, to_apart), as_rows(from, from_apart));
  }
  const auto bytes_of = [](DType dtype, int64_t elements) {
    return elements * static_cast<int64_t>(size_of(dtype));
  };
  for (int64_t i = 0; i < count; ++i) {
    copy(to, from);
    to.data = static_cast<char*>(to.data) + bytes_of(to.dtype, to_apart);
    from.data = static_cast<const char*>(from.data) + bytes_of(from.dtype, from_apart);
  }
}

Operand CudaBackend::operand(const ConstView& view, Workspace& scratch, int64_t count, int64_t* stride) {
  const bool halves = types_.compute == DType::bf16;
  const int64_t size = halves ? 2 : 4, run = 16 / size;
  if (fits(view, types_.compute) && (count == 1 || *stride * size % 16 == 0)) return {view.data, view.stride};
  View copied(nullptr, types_.compute, view.rows, view.cols);
  copied.stride = blocks_for(std::max<int64_t>(view.cols, 1), run) * run;
  const int64_t whole = copied.rows * copied.stride;
  copied.data = scratch.get<char>(std::max<int64_t>(whole * count, 1) * size);
  copy_matrices(copied, whole, view, count == 1 ? 0 : *stride, count);
  if (count > 1) *stride = whole;
  return {copied.data, copied.stride};
}

void CudaBackend::refresh(const KeptWeights::Weight& weight, KeptWeights::Copy& copy) {
  copy_matrices(weight.copy_of(copy, 0), weight.first.rows * weight.pitch(), weight.first, weight.apart,
                weight.count);
  copy.fresh = true;
}

const KeptWeights::Copy* CudaBackend::kept_copy(const KeptWeights::Weight& weight) {
  const bool rounded = types_.compute == DType::bf16 && weight.first.dtype == DType::f32;
  if (!rounded || weight.first.size() == 0) return nullptr;
  KeptWeights::Copy* copy = kept_.get(weight);
  if (copy != nullptr && !copy->fresh) refresh(weight, *copy);
  return copy;
}

ConstView CudaBackend::kept(const ConstView& weight) {
  const KeptWeights::Weight one{weight, 1, 0};
  const KeptWeights::Copy* copy = kept_copy(one);
  return copy == nullptr ? weight : one.copy_of(*copy, 0);
}

void CudaBackend::refresh_kept() {
  for (const auto& weight : kept_.outdated()) kept_copy(weight);
}

void CudaBackend::written(const View& out) {
  if (out.size() == 0) return;
  written(out.data, static_cast<size_t>((out.rows - 1) * out.stride + out.cols) * size_of(out.dtype));
}

void CudaBackend::few_row_product(const Matmul& args, const ProductOutput& to) {
  const int64_t rows = args.out.rows, share = rows == 1 ? 1 : rows <= 4 ? 4 : 8;
  const char* kernel = share == 1   ? "products/few_rows_1"
                       : share == 4 ? "products/few_rows_4"
                                    : "products/few_rows_8";
  gpu_.launch(kernel, {{blocks_for(args.out.cols, kFewCols), blocks_for(rows, share)}, {kFewThreads}},
              rows_of(args.a), rows_of(args.b), types_.compute == DType::bf16, to);
}

void CudaBackend::tile_product(const Matmul& args, const ProductOutput& to) {
  const int64_t rows = args.out.rows, cols = args.out.cols;
  const bool halves = types_.compute == DType::bf16;
  const TileShape tile = tile_shape(types_.compute, rows, cols, 1, gpu_.multiprocessors());
  const int form = (args.transpose_a ? 2 : 0) + (args.transpose_b ? 1 : 0);
  const char* kernel = !halves                    ? kFloatKernels[form]
                       : tile.rows == kSmall.rows ? kSmallKernels[form]
                                                  : kLargeKernels[form];
  const Operand a = operand(args.a, left_, 1, nullptr), b = operand(args.b, right_, 1, nullptr);
  const int64_t across = to.pairs ? blocks_for(cols / 2, tile.cols / 2) : blocks_for(cols, tile.cols);
  gpu_.launch(kernel, {{blocks_for(rows, tile.rows) * across}, {tile.threads}}, a, b,
              side_of(args.transpose_a ? args.a.rows : args.a.cols), static_cast<uint32_t>(across), to);
}

ConstView CudaBackend::as_floats(const ConstView& vector, Workspace& scratch) {
  if (!vector || vector.dtype == DType::f32) return vector;
  const View floats(scratch.get<float>(vector.cols), DType::f32, 1, vector.cols);
  copy(floats, vector);
  return floats;
}

bool CudaBackend::library_product(const Matmul& args) {
  if (!library_.takes(args)) return false;
  const Operand a = operand(args.a, left_, 1, nullptr), b = operand(args.b, right_, 1, nullptr);
  return library_.multiply(args, a, b);
}

bool CudaBackend::own_product(const Matmul& args) {
  const bool whole = makes_activation(args);
  ProductOutput to = output_of(args, whole);
  to.bias = static_cast<const float*>(as_floats(args.bias, bias_).data);
  if (args.b.dtype == DType::i8) {
    int8_product(args, to);
  } else if (few(args)) {
    few_row_product(args, to);
  } else {
    tile_product(args, to);
  }
  return whole;
}

void CudaBackend::matmul(const Matmul& args) {
  checks::matmul(args, types_);
  side_of(args.out.rows);
  side_of(args.out.cols);
  if (args.out.rows == 0 || args.out.cols == 0) return;
  Matmul now = args;
  if (args.keep_b) now.b = kept(args.b);
  const bool activated = !library_product(now) && own_product(now);
  written(args.out);
  if (args.activation == Activation::none) return;
  if (activated) return written(args.activated);
  args.activation == Activation::gelu ? gelu(args.activated, args.out) : swiglu(args.activated, args.out);
}

}  // namespace gristmill::runtime::cuda

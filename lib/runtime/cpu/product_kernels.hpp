#pragma once

// Matrix products: a register tile of kTileRows × kTileCols, fed from packed panels (Goto & van de Geijn
// 2008). b is packed in panels of kTileCols columns, k-major; a in panels of at most kTileRows rows, k-major.

#include "runtime/cpu/kernels.hpp"
#include "runtime/cpu/simd.hpp"

namespace gristmill::runtime::cpu {
namespace {

#if defined(__AVX512F__)
constexpr int64_t kTileRows = 12;  // 24 accumulators of 32 registers
#elif defined(__AVX2__)
constexpr int64_t kTileRows = 6;  // 12 of 16
#else
constexpr int64_t kTileRows = 4;  // 8 of 16: the product needs a register of its own
#endif
constexpr int64_t kTileVectors = 2;
constexpr int64_t kTileCols = kTileVectors * kLanes;
/// Depth of a pass over packed panels: those of one pass stay in the second-level cache.
constexpr int64_t kDepth = 512;
/// Depth of a pass that packs on its way: the panel stays in the first-level cache.
constexpr int64_t kOwnDepth = 128;

/// c[Rows × kTileCols] = (resume ? c : 0) + Σ_k a[k·a_step + row] · b[k·b_step + col].
template <int64_t Rows>
void tile(int64_t depth, const float* a, int64_t a_step, const float* b, int64_t b_step, float* c,
          int64_t c_stride, bool resume) {
  Vec sum[Rows][kTileVectors];
#pragma GCC unroll 16
  for (int64_t r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
    for (int64_t v = 0; v < kTileVectors; ++v)
      sum[r][v] = resume ? load(c + r * c_stride + v * kLanes) : Vec{};
  }
  for (int64_t k = 0; k < depth; ++k, a += a_step, b += b_step) {
    const Vec b0 = load(b), b1 = load(b + kLanes);
#pragma GCC unroll 16
    for (int64_t r = 0; r < Rows; ++r) {
      const Vec factor = splat(a[r]);
      sum[r][0] = fma(factor, b0, sum[r][0]);
      sum[r][1] = fma(factor, b1, sum[r][1]);
    }
  }
#pragma GCC unroll 16
  for (int64_t r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
    for (int64_t v = 0; v < kTileVectors; ++v) store(c + r * c_stride + v * kLanes, sum[r][v]);
  }
}

using TileFunction = void (*)(int64_t, const float*, int64_t, const float*, int64_t, float*, int64_t, bool);
constexpr TileFunction kTiles[] = {
    nullptr, tile<1>, tile<2>, tile<3>,  tile<4>,
#if defined(__AVX2__)
    tile<5>, tile<6>,
#endif
#if defined(__AVX512F__)
    tile<7>, tile<8>, tile<9>, tile<10>, tile<11>, tile<12>,
#endif
};

/// As tile(), for any number of rows and a multiple of kTileCols columns.
void small_product(int64_t rows, int64_t cols, int64_t depth, const float* a, int64_t a_step, const float* b,
                   int64_t b_step, float* c, int64_t c_stride, bool resume) {
  for (int64_t n = 0; n < cols; n += kTileCols) {
    for (int64_t m = 0; m < rows; m += kTileRows) {
      kTiles[lesser(kTileRows, rows - m)](depth, a + m, a_step, b + n, b_step, c + m * c_stride + n, c_stride,
                                          resume);
    }
  }
}

typedef float Quad __attribute__((vector_size(16)));
typedef float LooseQuad __attribute__((vector_size(16), aligned(4), may_alias));

/// Four rows of four, transposed.
GRISTMILL_INLINE void transpose_quad(float* to, int64_t to_stride, const float* from, int64_t from_stride) {
  typedef int32_t Index __attribute__((vector_size(16)));
  const Quad r0 = *reinterpret_cast<const LooseQuad*>(from);
  const Quad r1 = *reinterpret_cast<const LooseQuad*>(from + from_stride);
  const Quad r2 = *reinterpret_cast<const LooseQuad*>(from + 2 * from_stride);
  const Quad r3 = *reinterpret_cast<const LooseQuad*>(from + 3 * from_stride);
  const Quad low01 = __builtin_shuffle(r0, r1, Index{0, 4, 1, 5}),
             low23 = __builtin_shuffle(r2, r3, Index{0, 4, 1, 5});
  const Quad high01 = __builtin_shuffle(r0, r1, Index{2, 6, 3, 7}),
             high23 = __builtin_shuffle(r2, r3, Index{2, 6, 3, 7});
  *reinterpret_cast<LooseQuad*>(to) = __builtin_shuffle(low01, low23, Index{0, 1, 4, 5});
  *reinterpret_cast<LooseQuad*>(to + to_stride) = __builtin_shuffle(low01, low23, Index{2, 3, 6, 7});
  *reinterpret_cast<LooseQuad*>(to + 2 * to_stride) = __builtin_shuffle(high01, high23, Index{0, 1, 4, 5});
  *reinterpret_cast<LooseQuad*>(to + 3 * to_stride) = __builtin_shuffle(high01, high23, Index{2, 3, 6, 7});
}

/// to[c·to_stride + r] = from[r·from_stride + c], in runs of columns whose destination stays in the
/// first-level cache.
GRISTMILL_INLINE void transpose(float* to, int64_t to_stride, const float* from, int64_t from_stride,
                                int64_t rows, int64_t cols) {
  constexpr int64_t kRun = 128;
  for (int64_t begin = 0; begin < cols; begin += kRun) {
    const int64_t end = lesser(begin + kRun, cols);
    int64_t r = 0;
    for (; r + 4 <= rows; r += 4) {
      int64_t c = begin;
      for (; c + 4 <= end; c += 4) {
        transpose_quad(to + c * to_stride + r, to_stride, from + r * from_stride + c, from_stride);
      }
      for (; c < end; ++c) {
        for (int64_t i = r; i < r + 4; ++i) to[c * to_stride + i] = from[i * from_stride + c];
      }
    }
    for (; r < rows; ++r) {
      for (int64_t c = begin; c < end; ++c) to[c * to_stride + r] = from[r * from_stride + c];
    }
  }
}

/// One panel: `cols` ≤ kTileCols columns of b over `depth`, k-major; missing columns are zero.
void pack_panel(float* packed, const float* b, int64_t b_stride, bool transposed, int64_t cols,
                int64_t depth) {
  if (cols < kTileCols) {
    for (int64_t i = 0; i < depth * kTileCols; ++i) packed[i] = 0;
  }
  if (transposed) {
    transpose(packed, kTileCols, b, b_stride, cols, depth);
    return;
  }
  for (int64_t k = 0; k < depth; ++k) {
    if (cols == kTileCols) {
      for (int64_t v = 0; v < kTileCols; v += kLanes)
        store(packed + k * kTileCols + v, load(b + k * b_stride + v));
    } else {
      for (int64_t n = 0; n < cols; ++n) packed[k * kTileCols + n] = b[k * b_stride + n];
    }
  }
}

void pack_b(float* packed, const float* b, int64_t b_stride, bool transposed, int64_t cols, int64_t depth) {
  for (int64_t n = 0; n < cols; n += kTileCols) {
    const float* from = transposed ? b + n * b_stride : b + n;
    pack_panel(packed + n * depth, from, b_stride, transposed, lesser(kTileCols, cols - n), depth);
  }
}

/// Rows of a in panels of kTileRows (the last one narrower), each k-major over `depth`.
void pack_a(float* packed, const float* a, int64_t a_stride, bool transposed, int64_t rows, int64_t depth) {
  for (int64_t m = 0; m < rows; m += kTileRows) {
    const int64_t height = lesser(kTileRows, rows - m);
    float* panel = packed + m * depth;
    if (!transposed) {
      transpose(panel, height, a + m * a_stride, a_stride, height, depth);
      continue;
    }
    for (int64_t k = 0; k < depth && height == kTileRows; ++k) {  // a loop of constant length becomes vectors
      for (int64_t r = 0; r < kTileRows; ++r) panel[k * kTileRows + r] = a[k * a_stride + m + r];
    }
    for (int64_t k = 0; k < depth && height < kTileRows; ++k) {
      for (int64_t r = 0; r < height; ++r) panel[k * height + r] = a[k * a_stride + m + r];
    }
  }
}

/// Writes a finished tile to out, with the epilogue.
GRISTMILL_INLINE void finish_tile(const ProductBlock& args, const float* c, int64_t m, int64_t n,
                                  int64_t height, int64_t width) {
  for (int64_t r = 0; r < height; ++r, c += kTileCols) {
    float* out = args.out + (m + r) * args.out_stride + n;
    const float* residual = args.residual ? args.residual + (m + r) * args.residual_stride + n : nullptr;
    const float* bias = args.bias ? args.bias + n : nullptr;
    each_vector(width, [&](int64_t i, auto get, auto put) {
      Vec value = load(c + i);
      if (bias) value += get(bias + i);
      if (residual) value += get(residual + i);
      if (args.accumulate) value = get(out + i) + value;
      put(out + i, value);
    });
  }
}

int64_t padded(int64_t size, int64_t unit) { return (size + unit - 1) / unit * unit; }

int64_t product_scratch(int64_t rows, int64_t cols, int64_t depth, bool packed) {
  if (!packed) return padded(rows * depth, 16) + (rows + kOwnDepth) * kTileCols;
  const int64_t sums = depth > kDepth ? rows * padded(cols, kTileCols) : kTileRows * kTileCols;
  return padded(rows * lesser(depth, kDepth), 16) + sums;
}

/// One pass of all rows with one column panel: the sums of panel of rows m are at m · kTileCols.
GRISTMILL_INLINE void panel_pass(const ProductBlock& args, int64_t first, int64_t pass, int64_t n,
                                 const float* packed_a, const float* panel, float* sums) {
  const bool last = first + pass == args.depth, single = first == 0 && last;
  for (int64_t m = 0; m < args.rows; m += kTileRows) {
    const int64_t height = lesser(kTileRows, args.rows - m);
    float* c = single ? sums : sums + m * kTileCols;
    kTiles[height](pass, packed_a + m * pass, height, panel, kTileCols, c, kTileCols, first > 0);
    if (last) finish_tile(args, c, m, n, height, lesser(kTileCols, args.cols - n));
  }
}

void pack_pass(float* packed, const ProductBlock& args, int64_t first, int64_t pass) {
  const float* from = args.a_transposed ? args.a + first * args.a_stride : args.a + first;
  pack_a(packed, from, args.a_stride, args.a_transposed, args.rows, pass);
}

/// b lies in panels: pass by pass over all of them, a's pass is packed once.
void packed_product(const ProductBlock& args) {
  float* packed_a = args.scratch;
  float* sums = packed_a + padded(args.rows * lesser(args.depth, kDepth), 16);
  const bool single = args.depth <= kDepth;
  int64_t first = 0;
  do {  // a product of depth 0 still writes its epilogue
    const int64_t pass = lesser(kDepth, args.depth - first);
    pack_pass(packed_a, args, first, pass);
    for (int64_t n = 0; n < args.cols; n += kTileCols) {
      panel_pass(args, first, pass, n, packed_a, args.packed_b + n * args.depth + first * kTileCols,
                 single ? sums : sums + n * args.rows);
    }
    first += pass;
  } while (first < args.depth);
}

/// Few rows: all of a is packed, and b goes by once, panel by panel, its next pass on its way from memory.
void passing_product(const ProductBlock& args) {
  float* packed_a = args.scratch;
  float* sums = packed_a + padded(args.rows * args.depth, 16);
  float* panel = sums + args.rows * kTileCols;
  for (int64_t first = 0; first < args.depth; first += kOwnDepth) {
    pack_pass(packed_a + args.rows * first, args, first, lesser(kOwnDepth, args.depth - first));
  }
  for (int64_t n = 0; n < args.cols; n += kTileCols) {
    const int64_t width = lesser(kTileCols, args.cols - n);
    int64_t first = 0;
    do {
      const int64_t pass = lesser(kOwnDepth, args.depth - first);
      const float* from =
          args.b_transposed ? args.b + n * args.b_stride + first : args.b + first * args.b_stride + n;
      if (args.b_transposed && first + 2 * kOwnDepth <= args.depth) {
        for (int64_t r = 0; r < width; ++r) {
          for (int64_t k = 0; k < kOwnDepth; k += 16)
            __builtin_prefetch(from + r * args.b_stride + kOwnDepth + k);
        }
      }
      pack_panel(panel, from, args.b_stride, args.b_transposed, width, pass);
      panel_pass(args, first, pass, n, packed_a + args.rows * first, panel, sums);
      first += pass;
    } while (first < args.depth);
  }
}

void product(const ProductBlock& args) {
  if (args.packed_b) return packed_product(args);
  passing_product(args);
}

}  // namespace
}  // namespace gristmill::runtime::cpu

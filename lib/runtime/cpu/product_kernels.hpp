#pragma once

// Matrix products: a register tile of kTileRows × kTileCols, fed from packed panels (Goto & van de Geijn
// 2008). b is packed in panels of kTileCols columns, a in panels of at most kTileRows rows.

#include "runtime/cpu/activation_kernels.hpp"
#include "runtime/cpu/kernels.hpp"
#include "runtime/cpu/pack_kernels.hpp"
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
/// Steps of a pass over packed panels: those of one pass stay in the second-level cache.
constexpr int64_t kPass = 768;
/// Steps of a pass that packs on its way: the panel stays in the first-level cache.
constexpr int64_t kOwnPass = 128;

/// c[Rows × kTileCols] = (resume ? c : 0) + Σ_k a[k·a_step + row] · b[k·b_step + col].
template <class Format, class Element, int64_t Rows>
void tile(int64_t steps, const float* a, int64_t a_step, const float* b, int64_t b_step, Element* c,
          int64_t c_stride, bool resume) {
  Vec sum[Rows][kTileVectors];
#pragma GCC unroll 16
  for (int64_t r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
    for (int64_t v = 0; v < kTileVectors; ++v)
      sum[r][v] = resume ? load(c + r * c_stride + v * kLanes) : Vec{};
  }
  if (!resume) {  // what is written at the end is on its way by then
#pragma GCC unroll 16
    for (int64_t r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
      for (int64_t v = 0; v < kTileVectors; ++v) __builtin_prefetch(c + r * c_stride + v * kLanes, 1);
    }
  }
  for (int64_t k = 0; k < steps; ++k, a += a_step, b += b_step) {
    const Vec b0 = load(b), b1 = load(b + kLanes);
#pragma GCC unroll 16
    for (int64_t r = 0; r < Rows; ++r) {
      const Vec factor = splat(a[r]);
      sum[r][0] = Format::multiply(factor, b0, sum[r][0]);
      sum[r][1] = Format::multiply(factor, b1, sum[r][1]);
    }
  }
#pragma GCC unroll 16
  for (int64_t r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
    for (int64_t v = 0; v < kTileVectors; ++v) store(c + r * c_stride + v * kLanes, sum[r][v]);
  }
}

template <class Element>
using TileFunction = void (*)(int64_t, const float*, int64_t, const float*, int64_t, Element*, int64_t, bool);
template <class Format, class Element>
constexpr TileFunction<Element> kTiles[] = {
    nullptr,
    tile<Format, Element, 1>,
    tile<Format, Element, 2>,
    tile<Format, Element, 3>,
    tile<Format, Element, 4>,
#if defined(__AVX2__)
    tile<Format, Element, 5>,
    tile<Format, Element, 6>,
#endif
#if defined(__AVX512F__)
    tile<Format, Element, 7>,
    tile<Format, Element, 8>,
    tile<Format, Element, 9>,
    tile<Format, Element, 10>,
    tile<Format, Element, 11>,
    tile<Format, Element, 12>,
#endif
};

/// As tile(), for any number of rows and a multiple of kTileCols columns.
template <class Format>
void small_product(int64_t rows, int64_t cols, int64_t steps, const float* a, int64_t a_step, const float* b,
                   int64_t b_step, float* c, int64_t c_stride, bool resume) {
  for (int64_t n = 0; n < cols; n += kTileCols) {
    for (int64_t m = 0; m < rows; m += kTileRows) {
      kTiles<Format, float>[lesser(kTileRows, rows - m)](steps, a + m, a_step, b + n, b_step,
                                                         c + m * c_stride + n, c_stride, resume);
    }
  }
}

int64_t padded(int64_t size, int64_t unit) { return (size + unit - 1) / unit * unit; }

template <class Format>
GRISTMILL_INLINE int64_t steps_of(int64_t depth) {
  return (depth + Format::kStep - 1) / Format::kStep;
}

/// One panel: `cols` ≤ kTileCols columns of b from `from`; missing columns are zero.
template <class Format>
void pack_panel(float* packed, const Operand& b, const char* from, int64_t cols, int64_t depth) {
  if (cols < kTileCols) {
    for (int64_t i = 0; i < steps_of<Format>(depth) * kTileCols; ++i) packed[i] = 0;
  }
  pack_strip<Format>(packed, kTileCols, b, b.transposed, from, cols, depth);
}

template <class Format>
void pack_b(float* packed, const Operand& b, int64_t cols, int64_t depth) {
  for (int64_t n = 0; n < cols; n += kTileCols) {
    const char* from = b.transposed ? element(b, n, 0) : element(b, 0, n);
    pack_panel<Format>(packed + n * steps_of<Format>(depth), b, from, lesser(kTileCols, cols - n), depth);
  }
}

/// Rows of a in panels of kTileRows (the last one narrower), from element `first` of the depth on.
template <class Format>
void pack_a(float* packed, const ProductBlock& args, int64_t first, int64_t depth) {
  const Operand& a = args.a;
  for (int64_t m = 0; m < args.rows; m += kTileRows) {
    const int64_t height = lesser(kTileRows, args.rows - m);
    const char* from = a.transposed ? element(a, first, m) : element(a, m, first);
    pack_strip<Format>(packed + m * steps_of<Format>(depth), height, a, !a.transposed, from, height, depth);
  }
}

/// Writes a finished tile to out, with the epilogue.
template <class Element>
GRISTMILL_INLINE void finish_tile(const ProductBlock& args, Element* out, const float* c, int64_t m,
                                  int64_t n, int64_t height, int64_t width) {
  out += m * args.out_stride + n;
  for (int64_t r = 0; r < height; ++r, c += kTileCols, out += args.out_stride) {
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

/// Steps of a pass over packed panels: few rows go through at once, so that a panel is read in one run.
GRISTMILL_INLINE int64_t pass_of(int64_t rows, int64_t steps) {
  return rows <= kTileRows ? steps : lesser(steps, kPass);
}

template <class Format>
int64_t product_scratch(int64_t rows, int64_t cols, int64_t depth, bool packed) {
  const int64_t steps = steps_of<Format>(depth);
  if (!packed) return padded(rows * steps, 16) + (rows + kOwnPass) * kTileCols;
  const int64_t pass = pass_of(rows, steps);
  const int64_t sums = steps > pass ? rows * padded(cols, kTileCols) : kTileRows * kTileCols;
  return padded(rows * pass, 16) + sums;
}

/// One pass of all rows with the panel of the `width` columns from n on: the sums of panel of rows m are at
/// m · kTileCols.
template <class Format, class Element>
GRISTMILL_INLINE void panel_pass(const ProductBlock& args, int64_t first, int64_t pass, int64_t n,
                                 int64_t width, const float* packed_a, const float* panel, float* sums) {
  Element* out = static_cast<Element*>(args.out);
  const bool last = first + pass == steps_of<Format>(args.depth), single = first == 0 && last;
  const bool plain = single && !args.accumulate && !args.bias && !args.residual && width == kTileCols;
  for (int64_t m = 0; m < args.rows; m += kTileRows) {
    const int64_t height = lesser(kTileRows, args.rows - m);
    if (plain) {  // no epilogue: the tile goes where it belongs
      kTiles<Format, Element>[height](pass, packed_a + m * pass, height, panel, kTileCols,
                                      out + m * args.out_stride + n, args.out_stride, false);
      continue;
    }
    float* c = single ? sums : sums + m * kTileCols;
    kTiles<Format, float>[height](pass, packed_a + m * pass, height, panel, kTileCols, c, kTileCols,
                                  first > 0);
    if (last) finish_tile(args, out, c, m, n, height, width);
  }
}

/// The activation of the `width` columns from n on, which were just written and are in the first-level cache.
template <class Element, class Activated>
void activate_columns(const ProductBlock& args, int64_t n, int64_t width) {
  const Element* in = static_cast<const Element*>(args.out) + n;
  Activated* out = static_cast<Activated*>(args.activated) + n;
  for (int64_t r = 0; r < args.rows; ++r, in += args.out_stride, out += args.activated_stride) {
    each_vector(width, [&](int64_t i, auto get, auto put) {
      put(out + i, args.pair > 0 ? swiglu_of(get(in + i), get(in + args.pair + i)) : gelu_of(get(in + i)));
    });
  }
}

template <class Element>
GRISTMILL_INLINE void activate(const ProductBlock& args, int64_t n, int64_t width) {
  if (args.activated == nullptr) return;
  args.activated_narrow ? activate_columns<Element, uint16_t>(args, n, width)
                        : activate_columns<Element, float>(args, n, width);
}

/// Columns of a panel in turn: a panel's, and with a pair those of its partner.
template <class Body>
GRISTMILL_INLINE void each_partner(const ProductBlock& args, int64_t n, Body body) {
  body(n, int64_t{0});
  if (args.pair > 0) body(n + args.pair, int64_t{1});
}

/// Elements of the depth in steps [first, first + pass).
template <class Format>
GRISTMILL_INLINE int64_t depth_of(const ProductBlock& args, int64_t first, int64_t pass) {
  return lesser(pass * Format::kStep, args.depth - first * Format::kStep);
}

/// b lies in panels: pass by pass over all of them, a's pass is packed once.
template <class Format, class Element>
void packed_product(const ProductBlock& args) {
  const int64_t steps = steps_of<Format>(args.depth), most = pass_of(args.rows, steps);
  float* packed_a = args.scratch;
  float* sums = packed_a + padded(args.rows * most, 16);
  const bool single = steps <= most;
  int64_t first = 0;
  do {  // a product of depth 0 still writes its epilogue
    const int64_t pass = lesser(most, steps - first);
    pack_a<Format>(packed_a, args, first * Format::kStep, depth_of<Format>(args, first, pass));
    for (int64_t n = 0; n < args.cols; n += kTileCols) {
      const int64_t width = lesser(kTileCols, args.cols - n);
      each_partner(args, n, [&](int64_t place, int64_t partner) {
        panel_pass<Format, Element>(args, first, pass, place, width, packed_a,
                                    args.packed_b + place * steps + first * kTileCols,
                                    single ? sums : sums + (partner * args.cols + n) * args.rows);
      });
      if (first + pass == steps) activate<Element>(args, n, width);
    }
    first += pass;
  } while (first < steps);
}

/// Few rows: all of a is packed, and a panel of b goes by once, its next pass on its way from memory.
template <class Format, class Element>
GRISTMILL_INLINE void passing_panel(const ProductBlock& args, int64_t n, int64_t width, const float* packed_a,
                                    float* sums) {
  const int64_t steps = steps_of<Format>(args.depth), bytes = bytes_of(args.b);
  float* panel = sums + args.rows * kTileCols;
  int64_t first = 0;
  do {
    const int64_t pass = lesser(kOwnPass, steps - first), k = first * Format::kStep;
    const char* from = args.b.transposed ? element(args.b, n, k) : element(args.b, k, n);
    if (args.b.transposed && first + 2 * kOwnPass <= steps) {
      for (int64_t r = 0; r < width; ++r) {
        for (int64_t i = 0; i < kOwnPass * Format::kStep * bytes; i += 64)
          __builtin_prefetch(from + (r * args.b.stride + kOwnPass * Format::kStep) * bytes + i);
      }
    }
    pack_panel<Format>(panel, args.b, from, width, depth_of<Format>(args, first, pass));
    panel_pass<Format, Element>(args, first, pass, n, width, packed_a + args.rows * first, panel, sums);
    first += pass;
  } while (first < steps);
}

template <class Format, class Element>
void passing_product(const ProductBlock& args) {
  const int64_t steps = steps_of<Format>(args.depth);
  float* packed_a = args.scratch;
  for (int64_t first = 0; first < steps; first += kOwnPass) {
    pack_a<Format>(packed_a + args.rows * first, args, first * Format::kStep,
                   depth_of<Format>(args, first, kOwnPass));
  }
  float* sums = packed_a + padded(args.rows * steps, 16);
  for (int64_t n = 0; n < args.cols; n += kTileCols) {
    const int64_t width = lesser(kTileCols, args.cols - n);
    each_partner(args, n, [&](int64_t place, int64_t) {
      passing_panel<Format, Element>(args, place, width, packed_a, sums);
    });
    activate<Element>(args, n, width);
  }
}

template <class Format>
void product(const ProductBlock& args) {
  if (args.out_narrow) {
    args.packed_b ? packed_product<Format, uint16_t>(args) : passing_product<Format, uint16_t>(args);
  } else {
    args.packed_b ? packed_product<Format, float>(args) : passing_product<Format, float>(args);
  }
}

/// As many sums as a tile has, each a chain of its own.
template <class Format>
double multiply_adds(int64_t rounds, float* sink) {
  constexpr int64_t kSums = kTileRows * kTileVectors;
  // Near 1 and near 2^-10, as a float and as a pair of bf16; unknown to the compiler.
  volatile float numbers[] = {0x1.FE7EFEp-1F, 0x1.0075p-10F};
  const Vec a = splat(numbers[0]), b = splat(numbers[1]);
  Vec sum[kSums];
#pragma GCC unroll 32
  for (int64_t i = 0; i < kSums; ++i) sum[i] = splat(1.0F + static_cast<float>(i));
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 32
    for (int64_t i = 0; i < kSums; ++i) sum[i] = Format::busy(sum[i], a, b);
  }
  Vec total{};
  for (int64_t i = 0; i < kSums; ++i) total += sum[i];
  *sink = sum_lanes(total);
  return static_cast<double>(rounds) * static_cast<double>(2 * kSums * kLanes * Format::kStep);
}

template <class Format>
constexpr Products products() {
  return {kTileRows,
          kTileCols,
          Format::kStep,
          pack_b<Format>,
          product_scratch<Format>,
          product<Format>,
          multiply_adds<Format>};
}

}  // namespace
}  // namespace gristmill::runtime::cpu

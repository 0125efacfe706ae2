// What is not finite stays in the rows and columns that it belongs to. Tiles are filled up with zeros behind
// the ends of matrices: were it with other numbers, an infinite one among them would become NaN everywhere.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "base/str.hpp"
#include "parity.hpp"
#include "support/catch.hpp"

using namespace gristmill;
using namespace gristmill::runtime;
using namespace gristmill::runtime::test;

namespace {

constexpr int64_t kSpoiled = 8;  // elements of the widest access

void set(Lab& lab, const View& view, double value) {
  lab.backend().copy(
      view, lab.values(view.rows, view.cols, std::vector<double>(static_cast<size_t>(view.size()), value)));
}

/// Makes the first elements of a row infinite.
void spoil(Lab& lab, const View& view, int64_t row = 0, int64_t cols = kSpoiled) {
  set(lab, view.row_range(row, 1).col_range(0, cols), std::numeric_limits<double>::infinity());
}

/// Rows and columns from these on.
std::vector<double> rest(Lab& lab, const View& view, int64_t row, int64_t col) {
  const std::vector<double> all = lab.read(view);
  std::vector<double> values;
  for (int64_t r = row; r < view.rows; ++r) {
    const auto begin = all.begin() + r * view.cols;
    values.insert(values.end(), begin + col, begin + view.cols);
  }
  return values;
}

/// Documents beside one of which nothing is finite: one of two full tiles and a part, one of a single row.
Scenario attention(int64_t width) {
  return {str("attention_backward heads of ", width), tolerance_of("attention_backward"), [=](Lab& lab) {
            constexpr int32_t kFirst = 64, kRows = 195;  // documents meet between tiles
            const AttentionShape shape = {1, 1, width, 1 / static_cast<double>(width)};
            const View q = lab.computed(kRows, width), k = lab.computed(kRows, width),
                       v = lab.computed(kRows, width), out = lab.computed(kRows, width),
                       lse = lab.real(kRows, 1), dout = lab.computed(kRows, width),
                       dq = lab.computed(kRows, width), dk = lab.computed(kRows, width),
                       dv = lab.computed(kRows, width), documents = lab.ints({0, kFirst, kRows - 1, kRows});
            for (const View& view : {q, k, v, dout}) spoil(lab, view, 0, width);
            lab.backend().attention(out, lse, q, k, v, documents, shape);
            lab.backend().attention_backward(dq, dk, dv, dout, q, k, v, out, lse, documents, shape);
            Outputs outputs;
            for (const View& view : {out, lse, dq, dk, dv}) outputs.push_back(rest(lab, view, kFirst, 0));
            return outputs;
          }};
}

/// Keys of which the first has an infinite score below all others, and values of which the first columns are
/// infinite; caches behind whose last row all is infinite; one query head that is. The others' other columns.
Scenario cached(int64_t width) {
  return {
      str("cached_attention heads of ", width), tolerance_of("cached_attention"), [=](Lab& lab) {
        constexpr int32_t kCapacity = 140;
        constexpr int64_t kHeads = 3;
        const AttentionShape shape = {kHeads, 1, width, 1 / static_cast<double>(width)};
        const View q = lab.computed(2, kHeads * width), k = lab.computed(2 * kCapacity, width),
                   v = lab.computed(2 * kCapacity, width), out = lab.computed(2, kHeads * width);
        for (int64_t head = 0; head < kHeads; ++head) {
          set(lab, q.col_range(head * width, kSpoiled), -1);
        }
        spoil(lab, q, 0, width);
        for (const int64_t row : {0, 33, 34, kCapacity + 0, kCapacity + 131, kCapacity + 139}) {
          const bool seen = row % kCapacity == 0;
          spoil(lab, k, row, seen ? kSpoiled : width);
          spoil(lab, v, row, seen ? kSpoiled : width);
        }
        lab.backend().cached_attention(out, q, k, v, lab.ints({0, 1}), lab.ints({33, 131}), kCapacity, shape);
        const std::vector<double> all = lab.read(out);
        Outputs outputs(1);
        for (int64_t at = width; at < 2 * kHeads * width; ++at) {
          if (at % width >= kSpoiled) outputs[0].push_back(all[static_cast<size_t>(at)]);
        }
        return outputs;
      }};
}

Scenario product(const std::array<int64_t, 3>& shape, bool ta, bool tb) {
  const int64_t m = shape[0], n = shape[1], k = shape[2];
  return {str("matmul ", m, " x ", n, " x ", k), tolerance_of("matmul"), [=](Lab& lab) {
            Matmul args;
            const View a = ta ? lab.computed(k, m) : lab.computed(m, k),
                       b = tb ? lab.computed(n, k) : lab.computed(k, n);
            spoil(lab, a);
            spoil(lab, b);
            args.a = a;
            args.b = b;
            args.out = lab.computed(m, n);
            args.transpose_a = ta;
            args.transpose_b = tb;
            lab.backend().matmul(args);
            return Outputs{rest(lab, args.out, kSpoiled, kSpoiled)};
          }};
}

/// Experts whose rows begin with infinite elements; their gradients' depths are their rows.
Scenario experts(int64_t depth, bool transposed) {
  return {str("grouped_matmul of ", depth), tolerance_of("grouped_matmul"), [=](Lab& lab) {
            const std::vector<int32_t> offsets = {0, 9, 34, 75, 148};
            const int64_t rows = offsets.back(), cols = 72, size = depth * cols, count = 4;
            GroupedMatmul args;
            const View a = lab.computed(rows, depth), weights = lab.computed(count, size),
                       first = weights.row_range(0, 1), dout = lab.computed(rows, cols),
                       dweights = lab.real(count, size);
            for (int64_t expert = 0; expert < count; ++expert) {
              spoil(lab, weights, expert);
              spoil(lab, a, offsets[static_cast<size_t>(expert)]);
              spoil(lab, dout, offsets[static_cast<size_t>(expert)]);
            }
            args.a = a;
            args.out = lab.computed(rows, cols);
            args.b = transposed ? first.reshaped(cols, depth) : first.reshaped(depth, cols);
            args.transpose_b = transposed;
            args.expert_stride = weights.stride;
            args.offsets = lab.ints(offsets);
            lab.backend().grouped_matmul(args);
            lab.backend().grouped_matmul_gradient(dweights.row_range(0, 1).reshaped(cols, depth),
                                                  dweights.stride, dout, a, args.offsets);
            const std::vector<double> out = lab.read(args.out), gradients = lab.read(dweights);
            Outputs outputs(2);
            for (int64_t at = 0; at < rows * cols; ++at) {
              const bool begins = std::find(offsets.begin(), offsets.end(), at / cols) != offsets.end();
              if (!begins && at % cols >= kSpoiled) outputs[0].push_back(out[static_cast<size_t>(at)]);
            }
            for (int64_t at = 0; at < count * size; ++at) {
              if (at % size / depth >= kSpoiled && at % depth >= kSpoiled) {
                outputs[1].push_back(gradients[static_cast<size_t>(at)]);
              }
            }
            return outputs;
          }};
}

/// Depths that end in the first tile, the second, and one of those that are copied while others are
/// multiplied, of 16 in f32 and of 32 in bf16.
constexpr std::array<int64_t, 4> kDepths = {9, 25, 41, 73};

std::vector<Scenario> attentions() {
  std::vector<Scenario> all;
  for (const int64_t width : {24, 40, 72, 104, 200}) all.push_back(attention(width));
  return all;
}

std::vector<Scenario> caches() {
  std::vector<Scenario> all;
  for (const int64_t width : {24, 40, 72, 104, 200}) all.push_back(cached(width));
  return all;
}

std::vector<Scenario> products() {
  std::vector<Scenario> all;
  for (const int64_t depth : kDepths) {
    for (const bool tb : {false, true}) {
      for (const bool ta : {false, true}) {
        all.push_back(product({70, 72, depth}, ta, tb));
        if (depth != 25) all.push_back(product({129, 520, depth}, ta, tb));  // of large tiles
      }
      all.push_back(experts(depth, tb));
    }
  }
  return all;
}

}  // namespace

TEST_CASE("attention keeps what is not finite in its document", "[cuda]") { check_exact(attentions()); }
TEST_CASE("attention keeps what is not finite in its document in bf16", "[cuda]") {
  check_mixed(attentions());
}
TEST_CASE("attention over caches sees nothing behind their rows", "[cuda]") { check_exact(caches()); }
TEST_CASE("attention over caches sees nothing behind their rows in bf16", "[cuda]") { check_mixed(caches()); }
TEST_CASE("products keep what is not finite in its row and column", "[cuda]") { check_exact(products()); }
TEST_CASE("products keep what is not finite in its row and column in bf16", "[cuda]") {
  check_mixed(products());
}

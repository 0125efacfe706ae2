// What is not finite stays in the rows and columns that it belongs to. Tiles are filled up with zeros behind
// the ends of matrices: were it with other numbers, an infinite one among them would become NaN everywhere.

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

/// Makes the first elements of a row infinite.
void spoil(Lab& lab, const View& view, int64_t row = 0, int64_t cols = kSpoiled) {
  const std::vector<double> infinite(static_cast<size_t>(cols), std::numeric_limits<double>::infinity());
  lab.backend().copy(view.row_range(row, 1).col_range(0, cols), lab.values(1, cols, infinite));
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

/// The second of two documents beside one of which nothing is finite.
Scenario attention(int64_t width) {
  return {str("attention_backward heads of ", width), tolerance_of("attention_backward"), [=](Lab& lab) {
            constexpr int32_t kFirst = 64, kRows = 101;  // documents meet between two tiles
            const AttentionShape shape = {1, 1, width, 1 / static_cast<double>(width)};
            const View q = lab.computed(kRows, width), k = lab.computed(kRows, width),
                       v = lab.computed(kRows, width), out = lab.computed(kRows, width),
                       lse = lab.real(kRows, 1), dout = lab.computed(kRows, width),
                       dq = lab.computed(kRows, width), dk = lab.computed(kRows, width),
                       dv = lab.computed(kRows, width), documents = lab.ints({0, kFirst, kRows});
            for (const View& view : {q, k, v, dout}) spoil(lab, view, 0, width);
            lab.backend().attention(out, lse, q, k, v, documents, shape);
            lab.backend().attention_backward(dq, dk, dv, dout, q, k, v, out, lse, documents, shape);
            Outputs outputs;
            for (const View& view : {out, lse, dq, dk, dv}) outputs.push_back(rest(lab, view, kFirst, 0));
            return outputs;
          }};
}

/// All query heads but the first of each row, over a cache behind whose last row others are infinite.
Scenario cached(int64_t width) {
  return {
      str("cached_attention heads of ", width), tolerance_of("cached_attention"), [=](Lab& lab) {
        constexpr int32_t kCapacity = 70;
        const AttentionShape shape = {3, 1, width, 1 / static_cast<double>(width)};
        const View q = lab.computed(2, 3 * width), k = lab.computed(2 * kCapacity, width),
                   v = lab.computed(2 * kCapacity, width), out = lab.computed(2, 3 * width);
        spoil(lab, q, 0, width);
        for (const int64_t row : {33, 34, kCapacity + 67, kCapacity + 69}) {
          spoil(lab, k, row, width);
          spoil(lab, v, row, width);
        }
        lab.backend().cached_attention(out, q, k, v, lab.ints({0, 1}), lab.ints({33, 67}), kCapacity, shape);
        const std::vector<double> all = lab.read(out);
        return Outputs{{all.begin() + width, all.end()}};
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

/// Two experts, whose rows begin with infinite elements.
Scenario experts(bool transposed) {
  return {"grouped_matmul of two experts", tolerance_of("grouped_matmul"), [=](Lab& lab) {
            constexpr int64_t kRows = 90, kDepth = 33, kCols = 72, kSize = kDepth * kCols;
            GroupedMatmul args;
            const View a = lab.computed(kRows, kDepth), weights = lab.computed(2, kSize);
            args.a = a;
            args.out = lab.computed(kRows, kCols);
            const View first = weights.row_range(0, 1);
            args.b = transposed ? first.reshaped(kCols, kDepth) : first.reshaped(kDepth, kCols);
            args.transpose_b = transposed;
            args.expert_stride = weights.stride;
            args.offsets = lab.ints({0, 41, kRows});
            for (const int64_t expert : {0, 1}) {
              spoil(lab, weights, expert);
              spoil(lab, a, expert * 41);
            }
            lab.backend().grouped_matmul(args);
            const View dout = lab.computed(kRows, kCols), dweights = lab.real(2, kSize);
            for (const int64_t expert : {0, 1}) spoil(lab, dout, expert * 41);
            lab.backend().grouped_matmul_gradient(dweights.row_range(0, 1).reshaped(kCols, kDepth),
                                                  dweights.stride, dout, a, args.offsets);
            const auto out = rest(lab, args.out, kSpoiled, kSpoiled);
            Outputs outputs = {out};
            outputs[0].erase(outputs[0].begin() + (41 - kSpoiled) * (kCols - kSpoiled),
                             outputs[0].begin() + (42 - kSpoiled) * (kCols - kSpoiled));
            const std::vector<double> all = lab.read(dweights);
            for (int64_t at = 0; at < 2 * kSize; ++at) {
              const int64_t row = at % kSize / kDepth, col = at % kDepth;
              if (row >= kSpoiled && col >= kSpoiled) outputs[0].push_back(all[static_cast<size_t>(at)]);
            }
            return outputs;
          }};
}

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
  for (const bool ta : {false, true}) {
    for (const bool tb : {false, true}) {
      all.push_back(product({70, 72, 41}, ta, tb));
      all.push_back(product({256, 512, 41}, ta, tb));
    }
  }
  all.push_back(experts(true));
  all.push_back(experts(false));
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

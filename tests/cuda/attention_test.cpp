// Attention on the emulated GPU: the contract's scenarios, and what they do not reach: each width that
// kernels are compiled for, caches in parts, and views that no wide access fits.

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/str.hpp"
#include "parity.hpp"
#include "support/catch.hpp"

using namespace gristmill;
using namespace gristmill::runtime;
using namespace gristmill::runtime::test;

namespace {

const std::vector<std::string> kTraining = {"attention", "attention_backward"},
                               kCached = {"cached_attention"};

/// Forward and backward, so that a gap moves every view.
Scenario training(const AttentionShape& shape, const std::vector<int32_t>& starts) {
  return {str("attention_backward ", starts.back(), " rows, heads of ", shape.head_dim),
          tolerance_of("attention_backward"), [=](Lab& lab) {
            const int64_t rows = starts.back(), width = shape.heads * shape.head_dim,
                          kv = shape.kv_heads * shape.head_dim;
            const View q = lab.computed(rows, width), k = lab.computed(rows, kv), v = lab.computed(rows, kv),
                       out = lab.computed(rows, width), lse = lab.real(rows, shape.heads),
                       dout = lab.computed(rows, width), dq = lab.computed(rows, width),
                       dk = lab.computed(rows, kv), dv = lab.computed(rows, kv), documents = lab.ints(starts);
            lab.backend().attention(out, lse, q, k, v, documents, shape);
            lab.backend().attention_backward(dq, dk, dv, dout, q, k, v, out, lse, documents, shape);
            return Outputs{lab.read(out), lab.read(lse), lab.read(dq), lab.read(dk), lab.read(dv)};
          }};
}

Scenario cached(const AttentionShape& shape, int32_t capacity, const std::vector<int32_t>& sequence,
                const std::vector<int32_t>& length) {
  return {
      str("cached_attention ", sequence.size(), " rows, heads of ", shape.head_dim, ", capacity ", capacity),
      tolerance_of("cached_attention"), [=](Lab& lab) {
        const auto rows = static_cast<int64_t>(sequence.size());
        const int64_t width = shape.heads * shape.head_dim, kv = shape.kv_heads * shape.head_dim;
        const View q = lab.computed(rows, width), k = lab.computed(int64_t{3} * capacity, kv),
                   v = lab.computed(int64_t{3} * capacity, kv), out = lab.computed(rows, width);
        lab.backend().cached_attention(out, q, k, v, lab.ints(sequence), lab.ints(length), capacity, shape);
        return Outputs{lab.read(out)};
      }};
}

std::vector<Scenario> widths() {
  std::vector<Scenario> all;
  const std::vector<int32_t> starts = {0, 30, 31, 32, 32, 97};
  for (const int64_t width : {24, 64, 80, 96, 128, 200, 256})
    all.push_back(training({2, 1, width, 1 / static_cast<double>(width)}, starts));
  all.push_back(training({1, 1, 32, 0}, starts));  // all keys weigh the same
  all.push_back(training({1, 1, 32, -0.2}, starts));
  return all;
}

/// A row alone, rows of several sequences of which some end in the first part, a prompt, more heads than a
/// tile has rows.
std::vector<Scenario> parts() {
  return {cached({4, 2, 64, 0.125}, 700, {1}, {700}),
          cached({2, 2, 40, 0.16}, 600, {0, 2, 1, 0}, {256, 1, 599, 257}),
          cached({4, 1, 96, 0.1}, 513, {1, 1, 1, 0}, {300, 301, 302, 513}),
          cached({66, 1, 8, 0.35}, 300, {2, 0}, {300, 5}),
          cached({2, 1, 256, 0.0625}, 300, {2, 1}, {290, 65})};
}

}  // namespace

TEST_CASE("attention of packed documents keeps the contract on a GPU", "[cuda]") {
  check_exact(only(attention_scenarios(), kTraining));
}
TEST_CASE("attention of packed documents keeps the contract on a GPU in bf16", "[cuda]") {
  check_mixed(only(attention_scenarios(), kTraining));
}
TEST_CASE("attention over caches keeps the contract on a GPU", "[cuda]") {
  check_exact(only(attention_scenarios(), kCached));
}
TEST_CASE("attention over caches keeps the contract on a GPU in bf16", "[cuda]") {
  check_mixed(only(attention_scenarios(), kCached));
}
TEST_CASE("attention takes heads of every width up to 256", "[cuda]") { check_exact(widths()); }
TEST_CASE("attention takes heads of every width up to 256 in bf16", "[cuda]") { check_mixed(widths()); }
TEST_CASE("parts of a cache are put together", "[cuda]") { check_exact(parts()); }
TEST_CASE("parts of a cache are put together in bf16", "[cuda]") { check_mixed(parts()); }

#include "cuda/counters/counted.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>

#include "base/error.hpp"
#include "base/str.hpp"

namespace gristmill::runtime::test {

namespace {

/// Those of the contract's scenarios that have one kernel or a few.
const std::vector<std::string> kOfTheContract = {
    "fill 130 x 160",
    "copy 130 x 160",
    "axpy 130 x 160",
    "gather_rows 130 x 160",
    "scatter_rows 130 x 160",
    "sum_rows 130 x 160",
    "sum_of_squares 130 x 160",
    "embedding 130 x 160",
    "embedding_backward 130 x 160",
    "adamw 130 x 160",
    "rmsnorm_backward 200 x 96",
    "layernorm_backward 200 x 96",
    "swiglu 200 x 96",
    "swiglu_backward 200 x 96",
    "gelu 200 x 96",
    "gelu_backward 200 x 96",
    "rotary 130 x 2 x 16",
    "route_backward 130 tokens to 4 of 17, pull 0 with balance",
    "combine_rows 8 rows of 64 for each of 9 kind 0",
    "combine_rows_backward 8 rows of 64 for each of 9",
    "int8_matmul 97 x 70 x 36",
    "int8_matmul 97 x 70 x 36 with bias and residual",
    "embedding of int8 13 x 5",
    "head 130 rows of 9, vocabulary 17",
    "head_backward 130 rows of 9, vocabulary 17",
};

std::vector<Scenario> of_the_contract() {
  const std::vector<Scenario> all = all_scenarios();
  std::vector<Scenario> chosen;
  for (const std::string& name : kOfTheContract) {
    const auto found = std::find_if(all.begin(), all.end(), [&](const auto& s) { return s.name == name; });
    if (found == all.end()) fail(Kind::internal, "there is no scenario ", name);
    chosen.push_back(*found);
  }
  return chosen;
}

Scenario product(const std::array<int64_t, 3>& shape, bool ta, bool tb) {
  const int64_t m = shape[0], n = shape[1], k = shape[2];
  return {str("matmul ", m, " x ", n, " x ", k), tolerance_of("matmul"), [=](Lab& lab) {
            Matmul args;
            args.a = ta ? lab.computed(k, m) : lab.computed(m, k);
            args.b = tb ? lab.computed(n, k) : lab.computed(k, n);
            args.out = lab.computed(m, n);
            args.transpose_a = ta;
            args.transpose_b = tb;
            lab.backend().matmul(args);
            return Outputs{lab.read(args.out)};
          }};
}

/// Experts with 96, 0 and 32 rows.
Scenario experts(bool transposed, int64_t rows) {
  return {str("grouped_matmul ", rows, " rows"), tolerance_of("grouped_matmul"), [=](Lab& lab) {
            constexpr int64_t kDepth = 64, kCols = 128, kExperts = 3;
            GroupedMatmul args;
            args.a = lab.computed(rows, kDepth);
            args.out = lab.computed(rows, kCols);
            const View weights = lab.computed(1, kExperts * kDepth * kCols);
            args.b = transposed ? weights.col_range(0, kDepth * kCols).reshaped(kCols, kDepth)
                                : weights.col_range(0, kDepth * kCols).reshaped(kDepth, kCols);
            args.transpose_b = transposed;
            args.expert_stride = kDepth * kCols;
            const auto most = static_cast<int32_t>(rows * 3 / 4);
            args.offsets = lab.ints({0, most, most, static_cast<int32_t>(rows)});
            lab.backend().grouped_matmul(args);
            const View dweights = lab.real(1, kExperts * kDepth * kCols);
            lab.backend().grouped_matmul_gradient(
                dweights.col_range(0, kDepth * kCols).reshaped(kCols, kDepth), args.expert_stride, args.out,
                args.a, args.offsets);
            return Outputs{lab.read(args.out), lab.read(dweights)};
          }};
}

/// Two documents over two tiles of any kernel, two query heads for each of one key head.
Scenario attention(int64_t width) {
  return {str("attention_backward heads of ", width), tolerance_of("attention_backward"), [=](Lab& lab) {
            constexpr int32_t kRows = 96;
            const AttentionShape shape = {2, 1, width, 1 / static_cast<double>(width)};
            const View q = lab.computed(kRows, 2 * width), k = lab.computed(kRows, width),
                       v = lab.computed(kRows, width), out = lab.computed(kRows, 2 * width),
                       lse = lab.real(kRows, 2), dout = lab.computed(kRows, 2 * width),
                       dq = lab.computed(kRows, 2 * width), dk = lab.computed(kRows, width),
                       dv = lab.computed(kRows, width), documents = lab.ints({0, 40, kRows});
            lab.backend().attention(out, lse, q, k, v, documents, shape);
            lab.backend().attention_backward(dq, dk, dv, dout, q, k, v, out, lse, documents, shape);
            return Outputs{lab.read(out), lab.read(dq), lab.read(dk), lab.read(dv)};
          }};
}

/// One row of each of two sequences, the caches in parts.
Scenario cached(int64_t width) {
  return {str("cached_attention heads of ", width), tolerance_of("cached_attention"), [=](Lab& lab) {
            constexpr int64_t kCapacity = 400;
            const AttentionShape shape = {4, 1, width, 1 / static_cast<double>(width)};
            const View q = lab.computed(2, 4 * width), k = lab.computed(2 * kCapacity, width),
                       v = lab.computed(2 * kCapacity, width), out = lab.computed(2, 4 * width);
            lab.backend().cached_attention(out, q, k, v, lab.ints({0, 1}), lab.ints({400, 300}), kCapacity,
                                           shape);
            return Outputs{lab.read(out)};
          }};
}

Scenario draw() {
  return {
      "sample 4 of 1000", tolerance_of("sample"), [](Lab& lab) {
        const View logits = lab.real(4, 1000, 2), ids = lab.ints({-1, -1, -1, -1}), log_prob = lab.real(4, 1);
        lab.backend().sample(ids, log_prob, logits, lab.values(4, 1, {0.1, 0.4, 0.6, 0.9}),
                             {0.9, 50, 0.9, 0.01});
        return Outputs{lab.read(ids), lab.read(log_prob)};
      }};
}

}  // namespace

std::vector<Scenario> counted_scenarios() {
  std::vector<Scenario> all = of_the_contract();
  for (const bool ta : {false, true}) {
    for (const bool tb : {false, true}) {
      all.push_back(product({256, 512, 64}, ta, tb));
      all.push_back(product({128, 128, 64}, ta, tb));
    }
  }
  for (const int64_t rows : {1, 4, 8}) all.push_back(product({rows, 64, 512}, false, true));
  all.push_back(experts(true, 128));
  all.push_back(experts(false, 128));
  all.push_back(experts(true, 16));
  for (const int64_t width : {32, 64, 96, 128, 256}) {
    all.push_back(attention(width));
    all.push_back(cached(width));
  }
  all.push_back(draw());
  return all;
}

}  // namespace gristmill::runtime::test

#include "write_scenarios.hpp"

#include <cstdint>
#include <numeric>

namespace gristmill::runtime::test {

namespace {

constexpr int64_t kSize = kWrittenSize;

}  // namespace

std::vector<Write> all_writes() {
  const auto other = [](Lab& lab) { return lab.real(kSize, kSize); };
  const auto row = [](Lab& lab) { return lab.real(1, kSize); };
  const auto ids = [](Lab& lab) { return lab.random_ints(kSize, kSize); };
  const auto distinct = [](Lab& lab) {
    std::vector<int32_t> all(kSize);
    std::iota(all.begin(), all.end(), 0);
    return lab.ints(all);
  };
  const AttentionShape shape{2, 2, 16, 0.25};
  const auto attended = [=](Lab& lab, View out, View dq, View dk, View dv) {
    const View starts = lab.ints({0, kSize}), lse = lab.real(kSize, 2), q = other(lab), k = other(lab),
               v = other(lab);
    lab.backend().attention(out, lse, q, k, v, starts, shape);
    if (dq) lab.backend().attention_backward(dq, dk, dv, other(lab), q, k, v, out, lse, starts, shape);
  };
  return {
      {"write",
       [](Lab& lab, View w) { write_real(lab.device(), w.row_range(3, 1), std::vector<float>(kSize, 2)); }},
      {"fill", [](Lab& lab, View w) { lab.backend().fill(w.row_range(31, 1), 0.5); }},
      {"copy", [=](Lab& lab, View w) { lab.backend().copy(w, other(lab)); }},
      {"axpy", [=](Lab& lab, View w) { lab.backend().axpy(w, 1, other(lab)); }},
      {"gather_rows", [=](Lab& lab, View w) { lab.backend().gather_rows(w, other(lab), ids(lab)); }},
      {"scatter_rows", [=](Lab& lab, View w) { lab.backend().scatter_rows(w, row(lab), lab.ints({7})); }},
      {"sum_rows", [=](Lab& lab, View w) { lab.backend().sum_rows(w.row_range(0, 1), other(lab)); }},
      {"matmul",
       [=](Lab& lab, View w) {
         lab.backend().matmul({w, other(lab), false, other(lab), false, true, false, {}, {}});
       }},
      {"matmul's activation",
       [=](Lab& lab, View w) {
         Matmul args{other(lab), other(lab), false, other(lab), false, false, false, {}, {}};
         args.activation = Activation::gelu;
         args.activated = w;
         lab.backend().matmul(args);
       }},
      {"embedding", [=](Lab& lab, View w) { lab.backend().embedding(w, other(lab), ids(lab), false); }},
      {"embedding_backward",
       [=](Lab& lab, View w) { lab.backend().embedding_backward(w, other(lab), ids(lab)); }},
      {"rmsnorm",
       [=](Lab& lab, View w) { lab.backend().rmsnorm(w, lab.real(kSize, 1), other(lab), row(lab), 1e-5); }},
      {"rmsnorm_backward",
       [=](Lab& lab, View w) {
         lab.backend().rmsnorm_backward(other(lab), false, w.row_range(1, 1), other(lab), other(lab),
                                        row(lab), lab.real(kSize, 1));
       }},
      {"layernorm",
       [=](Lab& lab, View w) {
         lab.backend().layernorm(w, lab.real(kSize, 2), other(lab), row(lab), row(lab), 1e-5);
       }},
      {"layernorm_backward",
       [=](Lab& lab, View w) {
         lab.backend().layernorm_backward(other(lab), false, row(lab), w.row_range(1, 1), other(lab),
                                          other(lab), row(lab), lab.real(kSize, 2));
       }},
      {"rotary", [=](Lab& lab, View w) { lab.backend().rotary(w, ids(lab), lab.real(1, 8), 2, 16, false); }},
      {"attention", [=](Lab& lab, View w) { attended(lab, w, {}, {}, {}); }},
      {"attention_backward dq",
       [=](Lab& lab, View w) { attended(lab, other(lab), w, other(lab), other(lab)); }},
      {"attention_backward dk",
       [=](Lab& lab, View w) { attended(lab, other(lab), other(lab), w, other(lab)); }},
      {"attention_backward dv",
       [=](Lab& lab, View w) { attended(lab, other(lab), other(lab), other(lab), w); }},
      {"cached_attention",
       [=](Lab& lab, View w) {
         lab.backend().cached_attention(w, other(lab), other(lab), other(lab),
                                        lab.ints(std::vector<int32_t>(kSize, 0)),
                                        lab.ints(std::vector<int32_t>(kSize, 5)), kSize, shape);
       }},
      {"swiglu", [=](Lab& lab, View w) { lab.backend().swiglu(w, lab.real(kSize, 2 * kSize)); }},
      {"swiglu_backward",
       [=](Lab& lab, View w) { lab.backend().swiglu_backward(w, lab.real(kSize, kSize / 2), other(lab)); }},
      {"gelu", [=](Lab& lab, View w) { lab.backend().gelu(w, other(lab)); }},
      {"gelu_backward", [=](Lab& lab, View w) { lab.backend().gelu_backward(w, other(lab), other(lab)); }},
      {"head",
       [=](Lab& lab, View w) {
         lab.backend().head({w.col_range(0, 1), {}, {}}, other(lab), other(lab), ids(lab), 1);
       }},
      {"head_backward",
       [=](Lab& lab, View w) {
         HeadGradients gradients;
         gradients.lse = lab.real(kSize, 1);
         lab.backend().head_backward(other(lab), true, w, {}, other(lab), other(lab), ids(lab), gradients, 1);
       }},
      {"adamw",
       [=](Lab& lab, View w) {
         const View v = lab.values(kSize, kSize, std::vector<double>(kSize * kSize, 1.0));
         lab.backend().adamw(w, other(lab), v, other(lab), {1e-1, 0.9, 0.95, 1e-8, 0.1, 3, 0.5});
       }},
      {"route",
       [=](Lab& lab, View w) {
         const auto whole = [&](int64_t rows) {
           return View(lab.random_ints(rows * 2, 1).reshaped(rows, 2));
         };
         const Routing out{w,
                           lab.real(kSize, 1),
                           whole(kSize),
                           lab.real(kSize, 2),
                           lab.random_ints(kSize + 1, 1),
                           lab.random_ints(2 * kSize, 1),
                           whole(kSize),
                           {},
                           {}};
         lab.backend().route(out, other(lab));
       }},
      {"route_backward",
       [=](Lab& lab, View w) {
         const Routing routing{other(lab),
                               lab.real(kSize, 1),
                               lab.random_ints(kSize * 2, kSize).reshaped(kSize, 2),
                               lab.real(kSize, 2),
                               {},
                               {},
                               {},
                               {},
                               {}};
         lab.backend().route_backward(w, lab.real(kSize, 2), routing, {});
       }},
      {"grouped_matmul",
       [=](Lab& lab, View w) {
         GroupedMatmul args;
         args.out = w;
         args.a = other(lab);
         args.b = lab.real(2 * kSize, kSize).row_range(0, kSize);
         args.expert_stride = kSize * kSize;
         args.offsets = lab.ints({0, 5, kSize});
         lab.backend().grouped_matmul(args);
       }},
      {"grouped_matmul_gradient",
       [=](Lab& lab, View w) {
         lab.backend().grouped_matmul_gradient(w.row_range(0, kSize / 2), kSize * kSize / 2,
                                               lab.real(6, kSize / 2), lab.real(6, kSize),
                                               lab.ints({0, 0, 6}));  // of the second alone
       }},
      {"combine_rows",
       [=](Lab& lab, View w) {
         lab.backend().combine_rows(w, other(lab), {}, lab.random_ints(kSize, kSize), {});
       }},
      {"combine_rows_backward din",
       [=](Lab& lab, View w) {
         lab.backend().combine_rows_backward(w, lab.real(kSize, 1), other(lab), other(lab),
                                             lab.real(kSize, 1), distinct(lab));
       }},
      {"combine_rows_backward dweights",
       [=](Lab& lab, View w) {
         lab.backend().combine_rows_backward(other(lab), w.col_range(0, 1), other(lab), other(lab),
                                             lab.real(kSize, 1), distinct(lab));
       }},
      {"sample",
       [=](Lab& lab, View w) {
         const View uniforms = lab.values(kSize, 1, std::vector<double>(kSize, 0.5));
         lab.backend().sample(ids(lab), w.col_range(0, 1), other(lab), uniforms, {});
       }},
  };
}

}  // namespace gristmill::runtime::test

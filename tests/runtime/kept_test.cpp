// Weights whose packed form is kept: it is never outdated, and gives the bits of one packed anew.

#include <cstdint>
#include <functional>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "lab.hpp"
#include "runtime/int8.hpp"
#include "support/catch.hpp"

using namespace gristmill;
using namespace gristmill::runtime;
using namespace gristmill::runtime::test;

namespace {

constexpr int64_t kSize = 32;  // of the weight

/// Ways to write to a kSize × kSize weight of f32.
std::vector<std::pair<std::string, std::function<void(Lab&, View)>>> writes() {
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

std::vector<double> product_with(Lab& lab, View out, View a, View weight, bool keep) {
  lab.backend().matmul({out, a, false, weight, true, false, keep, {}, {}});
  return lab.read(out);
}

std::vector<uint32_t> bits_of(Device& device, ConstView view) {
  std::vector<uint32_t> bits(static_cast<size_t>(view.size()));
  device.read(bits.data(), view.data, bits.size() * sizeof(uint32_t));
  return bits;
}

void check_writes(Device& device) {
  for (const auto& [name, write] : writes()) {
    Lab lab(device);
    const View weight = lab.real(kSize, kSize), a = lab.real(4, kSize), out = lab.real(4, kSize);
    const auto before = product_with(lab, out, a, weight, true);
    CHECK((product_with(lab, out, a, weight, true) == before));
    write(lab, weight);
    const auto after = product_with(lab, out, a, weight, true);
    INFO(name << " on " << device.name());
    CHECK((after != before));
    CHECK((after == product_with(lab, out, a, weight, false)));
  }
}

}  // namespace

TEST_CASE("a kept weight is packed anew after any write to it", "[runtime]") {
  for (const DType compute : {DType::f32, DType::bf16}) {
    check_writes(*open_device("cpu", 2, compute));
    check_writes(*guard_device(open_device("cpu", 2, compute)));
  }
}

TEST_CASE("a kept weight is packed anew when int8 is written over it", "[runtime]") {
  for (const DType compute : {DType::f32, DType::bf16}) {
    auto device = open_device("cpu", 2, compute);
    for (int variant = 0; variant < 2; ++variant) {
      if (variant == 1) device = guard_device(std::move(device));
      Lab lab(*device);
      const View weight = lab.real(kSize, kSize), a = lab.real(4, kSize), out = lab.real(4, kSize);
      const View bytes(weight.data, DType::i8, 1, int8_bytes(kSize, kSize));  // the first of the weight's
      const auto before = product_with(lab, out, a, weight, true);
      lab.backend().quantize(int8_matrix(bytes, 0, kSize, kSize), lab.real(kSize, kSize), false);
      // Bits, because what int8 means as f32 may be no number.
      product_with(lab, out, a, weight, true);
      const auto kept = bits_of(*device, out);
      product_with(lab, out, a, weight, false);
      INFO(device->name());
      CHECK((kept == bits_of(*device, out)));
      CHECK((lab.read(out) != before));
    }
  }
}

TEST_CASE("a weight's packed form goes with its memory", "[runtime]") {
  for (const bool guarded : {false, true}) {
    auto device = open_device("cpu", 1, DType::bf16);
    if (guarded) device = guard_device(std::move(device));
    for (const double value : {1.0, 2.0, 3.0}) {  // the allocator gives the same place again
      Lab lab(*device);
      const View weight = lab.values(8, 8, std::vector<double>(64, value)),
                 a = lab.values(2, 8, std::vector<double>(16, 1.0)), out = lab.real(2, 8);
      CHECK((product_with(lab, out, a, weight, true) == std::vector<double>(16, 8 * value)));
    }
    Buffer first(*device, DType::f32, 8, 8);
    const void* place = first.view().data;
    Lab lab(*device);
    const View a = lab.values(2, 8, std::vector<double>(16, 1.0)), out = lab.real(2, 8);
    write_real(*device, first.view(), std::vector<float>(64, 1.0F));
    product_with(lab, out, a, first.view(), true);
    first = Buffer();
    const Buffer second(*device, DType::f32, 8, 8);  // zeroed, and not by a write
    if (second.view().data == place)
      CHECK((product_with(lab, out, a, second.view(), true) == std::vector<double>(16, 0.0)));
  }
}

TEST_CASE("kept weights and any number of rows give the same bits", "[runtime]") {
  for (const auto& [isa, compute] : available_arithmetics()) {
    const auto device = open_cpu_at(isa, 2, compute);
    Lab lab(*device);
    lab.set_halves(false);
    const View a = lab.computed(130, 1101), weight = lab.real(77, 1101), all = lab.computed(130, 77);
    lab.backend().matmul({all, a, false, weight, true, false, false, {}, {}});
    const auto expected = lab.read(all);
    for (const int64_t rows : {1, 2, 12, 13, 64, 65, 130}) {
      const View some = lab.computed(rows, 77);
      lab.backend().matmul({some, ConstView(a).row_range(0, rows), false, weight, true, false, true, {}, {}});
      INFO(rows << " rows on " << device->name());
      CHECK((lab.read(some) == std::vector<double>(expected.begin(), expected.begin() + rows * 77)));
    }
  }
}

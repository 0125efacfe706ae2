// The mixture of experts: its rules by hand, and its backward passes against differences.

#include <cmath>
#include <cstdint>
#include <vector>

#include "base/error.hpp"
#include "differences.hpp"
#include "lab.hpp"
#include "support/catch.hpp"

using namespace gristmill::runtime;
using namespace gristmill::runtime::test;

namespace {

Routing room_for(Lab& lab, int64_t tokens, int64_t experts, int64_t chosen) {
  const auto whole = [&](int64_t rows, int64_t cols) {
    return View(lab.random_ints(rows * cols, 1).reshaped(rows, cols));
  };
  return {lab.real(tokens, experts), lab.real(tokens, 1),   whole(tokens, chosen),
          lab.real(tokens, chosen),  whole(experts + 1, 1), whole(tokens * chosen, 1),
          whole(tokens, chosen),     lab.real(1, experts),  lab.real(1, experts)};
}

}  // namespace

TEST_CASE("a router takes the likeliest experts, of equal ones the lower, and orders rows by expert",
          "[runtime]") {
  for (const bool on_cpu : {false, true}) {
    const auto device = on_cpu ? open_cpu_at("scalar", 2) : open_reference_device(DType::f64);
    Lab lab(*device);
    // Token 0 ties all, token 1 likes 3 then 1, token 2 likes 1 then ties 0 and 2.
    const View logits = lab.values(3, 4, {0, 0, 0, 0, 0, 1, 0, 2, 5, 6, 5, 0});
    const Routing out = room_for(lab, 3, 4, 2);
    lab.backend().route(out, logits);
    CHECK((lab.read(out.experts) == std::vector<double>{0, 1, 3, 1, 1, 0}));
    CHECK((lab.read(out.offsets) == std::vector<double>{0, 2, 5, 5, 6}));
    CHECK((lab.read(out.tokens) == std::vector<double>{0, 2, 0, 1, 2, 1}));
    CHECK((lab.read(out.places) == std::vector<double>{0, 2, 5, 3, 4, 1}));
    CHECK((lab.read(out.load) == std::vector<double>{2, 3, 0, 1}));
    const auto weights = lab.read(out.weights);
    CHECK(weights[0] == Approx(0.5));
    CHECK(weights[2] == Approx(1 / (1 + std::exp(-1.0))));
    CHECK(weights[2] + weights[3] == Approx(1));
    CHECK(lab.read(out.lse)[0] == Approx(std::log(4.0)));
    const auto mass = lab.read(out.mass);
    CHECK(mass[0] + mass[1] + mass[2] + mass[3] == Approx(3));
  }
}

TEST_CASE("a router may write its probabilities over its logits", "[runtime]") {
  const auto device = open_cpu_at("scalar", 1);
  Lab lab(*device);
  const View logits = lab.real(50, 9);
  Routing apart = room_for(lab, 50, 9, 3), in_place = room_for(lab, 50, 9, 3);
  lab.backend().route(apart, logits);
  in_place.probabilities = logits;
  lab.backend().route(in_place, logits);
  CHECK((lab.read(in_place.probabilities) == lab.read(apart.probabilities)));
  CHECK((lab.read(in_place.weights) == lab.read(apart.weights)));
  CHECK((lab.read(in_place.tokens) == lab.read(apart.tokens)));
}

TEST_CASE("logits that are no numbers still choose distinct experts", "[runtime]") {
  const auto device = open_cpu_at("scalar", 1);
  Lab lab(*device);
  const View logits = lab.values(1, 3, {NAN, NAN, NAN});
  const Routing out = room_for(lab, 1, 3, 2);
  lab.backend().route(out, logits);
  CHECK((lab.read(out.experts) == std::vector<double>{0, 1}));
  CHECK((lab.read(out.offsets) == std::vector<double>{0, 1, 2, 2}));
}

TEST_CASE("gradients of the router match differences", "[runtime]") {
  const auto device = open_reference_device(DType::f64);
  for (const int64_t chosen : {1, 2, 4}) {
    Lab lab(*device);
    const View logits = lab.real(5, 4), dlogits = lab.real(5, 4), dweights = lab.real(5, chosen);
    const Routing out = room_for(lab, 5, 4, chosen);
    const auto upstream = lab.read(dweights);
    lab.backend().route(out, logits);
    const auto load = lab.read(out.load);  // counts have no slope
    RouterGradients gradients;
    gradients.load = out.load;
    gradients.balance = 0.3;
    gradients.z = 0.2;
    lab.backend().route_backward(dlogits, dweights, out, gradients);
    const auto analytic = lab.read(dlogits);
    const Routing moved = room_for(lab, 5, 4, chosen);
    check_close(analytic, differences(lab, logits, [&] {
                  lab.backend().route(moved, logits);
                  const auto lse = lab.read(moved.lse);
                  return dot(lab.read(moved.weights), upstream) + 0.3 * dot(lab.read(moved.mass), load) +
                         0.2 * dot(lse, lse);
                }));
  }
}

TEST_CASE("gradients of combined rows and of grouped products match differences", "[runtime]") {
  const auto device = open_reference_device(DType::f64);
  Lab lab(*device);
  const View in = lab.real(6, 4), weights = lab.real(3, 2), out = lab.real(3, 4), dout = lab.real(3, 4);
  const View places = lab.ints({4, 0, 1, 5, 3, 2}).reshaped(3, 2);
  const View din = lab.real(6, 4), dweights = lab.real(3, 2);
  const auto combined = [&] {
    lab.backend().combine_rows(out, in, weights, places, {});
    return dot(lab.read(out), lab.read(dout));
  };
  lab.backend().combine_rows_backward(din, dweights, dout, in, weights, places);
  check_close(lab.read(din), differences(lab, in, combined));
  check_close(lab.read(dweights), differences(lab, weights, combined));

  const View stack = lab.real(1, 3 * 20), dstack = lab.values(1, 60, std::vector<double>(60));
  const View a = lab.real(6, 4), da = lab.real(6, 4), y = lab.real(6, 5), dy = lab.real(6, 5);
  GroupedMatmul product;
  product.out = y;
  product.a = a;
  product.b = stack.col_range(0, 20).reshaped(5, 4);
  product.transpose_b = true;
  product.expert_stride = 20;
  product.offsets = lab.ints({0, 2, 2, 6});
  const auto grouped = [&] {
    lab.backend().grouped_matmul(product);
    return dot(lab.read(y), lab.read(dy));
  };
  lab.backend().grouped_matmul_gradient(dstack.col_range(0, 20).reshaped(5, 4), 20, dy, a, product.offsets);
  check_close(lab.read(dstack), differences(lab, stack, grouped));
  GroupedMatmul back = product;
  back.out = da;
  back.a = dy;
  back.transpose_b = false;
  lab.backend().grouped_matmul(back);
  check_close(lab.read(da), differences(lab, a, grouped));
}

TEST_CASE("a row's product does not depend on the rows of other experts", "[runtime]") {
  for (const auto& [isa, compute] : available_arithmetics()) {
    const auto device = open_cpu_at(isa, 2, compute);
    Lab lab(*device);
    const View a = lab.computed(200, 48), stack = lab.real(1, 2 * 48 * 80), out = lab.computed(200, 80),
               alone = lab.computed(1, 80);
    GroupedMatmul args;
    args.out = out;
    args.a = a;
    args.b = stack.col_range(0, 48 * 80).reshaped(80, 48);
    args.transpose_b = true;
    args.expert_stride = 48 * 80;
    args.offsets = lab.ints({0, 199, 200});
    lab.backend().grouped_matmul(args);
    GroupedMatmul last = args;
    last.a = a.row_range(199, 1);
    last.out = alone;
    last.offsets = lab.ints({0, 0, 1});
    lab.backend().grouped_matmul(last);
    const auto all = lab.read(out);
    INFO(device->name());
    CHECK((std::vector<double>(all.end() - 80, all.end()) == lab.read(alone)));
  }
}

TEST_CASE("kept panels of experts follow their weights", "[runtime]") {
  for (const auto& [isa, compute] : available_arithmetics()) {
    const auto device = open_cpu_at(isa, 1, compute);
    Lab lab(*device);
    const View stack = lab.real(1, 2 * 6), a = lab.computed(2, 2), out = lab.computed(2, 3);
    GroupedMatmul args;
    args.out = out;
    args.a = a;
    args.b = stack.col_range(0, 6).reshaped(3, 2);
    args.transpose_b = args.keep_b = true;
    args.expert_stride = 6;
    args.offsets = lab.ints({0, 1, 2});
    lab.backend().grouped_matmul(args);
    const auto before = lab.read(out);
    lab.backend().fill(stack.col_range(6, 6), 0);  // the second expert's
    lab.backend().grouped_matmul(args);
    const auto after = lab.read(out);
    CHECK((std::vector<double>(after.begin(), after.begin() + 3) ==
           std::vector<double>(before.begin(), before.begin() + 3)));
    CHECK((std::vector<double>(after.begin() + 3, after.end()) == std::vector<double>(3)));
  }
}

TEST_CASE("arguments of experts that do not fit are refused", "[runtime]") {
  const auto device = open_cpu_at("scalar", 1);
  Lab lab(*device);
  const View logits = lab.real(2, 3);
  Routing out = room_for(lab, 2, 3, 2);
  out.experts = lab.ints(std::vector<int32_t>(8)).reshaped(2, 4);
  CHECK_THROWS_WITH(lab.backend().route(out, logits), gristmill::test::contains("4 of 3 experts"));
  GroupedMatmul args;
  args.a = lab.real(4, 2);
  args.b = lab.real(2, 2);
  args.out = lab.real(4, 2);
  for (const auto& offsets :
       std::vector<std::vector<int32_t>>{{0, 5}, {0, 3}, {1, 4}, {0, 3, 2, 4}, {0, -1, 4}}) {
    args.offsets = lab.ints(offsets);
    CHECK_THROWS_WITH(lab.backend().grouped_matmul(args), gristmill::test::contains("an expert's rows are"));
  }
  args.offsets = lab.ints({0});
  CHECK_THROWS_WITH(lab.backend().grouped_matmul(args), gristmill::test::contains("of no expert"));
  const View places = lab.ints({0, 4}).reshaped(1, 2), one = lab.real(1, 2);
  CHECK_THROWS_WITH(lab.backend().combine_rows(one, args.a, {}, places, {}),
                    gristmill::test::contains("index 4"));
}

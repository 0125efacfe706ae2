// Bits: the same for any number of threads, in any batch, and in the order that the contract states.

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "lab.hpp"
#include "scenarios.hpp"
#include "support/catch.hpp"

using namespace gristmill::runtime;
using namespace gristmill::runtime::test;

namespace {

void check_threads(DType compute) {
  const std::string isa = available_isas().back();
  const auto one = open_cpu_at(isa, 1, compute), two = open_cpu_at(isa, 2, compute),
             three = open_cpu_at(isa, 3, compute);
  for (const Scenario& scenario : all_scenarios(3)) {
    const auto run = [&](Device& device) {
      Lab lab(device);
      return scenario.run(lab);
    };
    const Outputs expected = run(*one);
    INFO(scenario.name);
    CHECK((run(*two) == expected));
    CHECK((run(*three) == expected));
  }
}

}  // namespace

TEST_CASE("no result depends on the number of threads", "[runtime]") { check_threads(DType::f32); }
TEST_CASE("no result in bf16 depends on the number of threads", "[runtime]") { check_threads(DType::bf16); }

namespace {

/// Methods whose scenarios cost less than waking a second thread, at sizes that are worth three.
std::vector<Scenario> large_scenarios() {
  std::vector<Scenario> all;
  const auto add = [&](const std::string& name, std::function<Outputs(Lab&)> run) {
    all.push_back({name, 0, std::move(run)});
  };
  constexpr int64_t kRows = 4000, kCols = 60;
  const auto real = [](Lab& lab) { return lab.real(kRows, kCols); };
  const auto computed = [](Lab& lab) { return lab.computed(kRows, kCols); };
  add("sum_rows", [=](Lab& lab) {
    const View in = computed(lab), out = lab.real(1, kCols);
    lab.backend().sum_rows(out, in);
    return Outputs{lab.read(out)};
  });
  add("sum_of_squares", [=](Lab& lab) {
    const View in = real(lab), out = lab.doubles(1, 1);
    lab.backend().sum_of_squares(out, in);
    return Outputs{lab.read(out)};
  });
  add("axpy", [=](Lab& lab) {
    const View in = real(lab), out = real(lab);
    lab.backend().axpy(out, 0.3, in);
    return Outputs{lab.read(out)};
  });
  add("embedding", [=](Lab& lab) {
    const View table = lab.real(3000, kCols), ids = lab.random_ints(kRows, 3000), out = real(lab);
    lab.backend().embedding(out, table, ids, true);
    return Outputs{lab.read(out)};
  });
  add("embedding_backward", [=](Lab& lab) {
    const View table = lab.real(3000, kCols), ids = lab.random_ints(kRows, 3000), out = real(lab);
    lab.backend().embedding_backward(table, out, ids);
    return Outputs{lab.read(table)};
  });
  add("rmsnorm", [=](Lab& lab) {
    const View in = computed(lab), out = computed(lab), weight = lab.real(1, kCols),
               rstd = lab.real(kRows, 1);
    lab.backend().rmsnorm(out, rstd, in, weight, 1e-5);
    const View dweight = lab.real(1, kCols);
    lab.backend().rmsnorm_backward(out, true, dweight, in, in, weight, rstd);
    return Outputs{lab.read(out), lab.read(rstd), lab.read(dweight)};
  });
  add("rotary", [=](Lab& lab) {
    const View x = computed(lab), positions = lab.random_ints(kRows, 500), frequencies = lab.real(1, 10);
    lab.backend().rotary(x, positions, frequencies, 3, 20, false);
    return Outputs{lab.read(x)};
  });
  add("sample", [=](Lab& lab) {
    std::vector<double> draws;
    for (int64_t r = 0; r < kRows; ++r) draws.push_back(static_cast<double>(r) / static_cast<double>(kRows));
    const View logits = real(lab), uniforms = lab.values(kRows, 1, draws), value = lab.real(kRows, 1);
    const View ids = lab.random_ints(kRows, 1);
    lab.backend().sample(ids, value, logits, uniforms, {0.8, 20, 0.9, 0});
    return Outputs{lab.read(value), lab.read(ids)};
  });
  return all;
}

}  // namespace

TEST_CASE("results of large inputs do not depend on the number of threads", "[runtime]") {
  const std::string isa = available_isas().back();
  for (const DType compute : {DType::f32, DType::bf16}) {
    const auto one = open_cpu_at(isa, 1, compute), three = open_cpu_at(isa, 3, compute);
    for (const Scenario& scenario : large_scenarios()) {
      Lab alone(*one), shared(*three);
      INFO(scenario.name);
      CHECK((scenario.run(shared) == scenario.run(alone)));
    }
  }
}

namespace {

/// An accumulating method: adds to `target`, whatever it holds.
struct Accumulation {
  std::string name;
  int64_t rows, cols;
  std::function<void(Lab&, View target)> run;
};

std::vector<Accumulation> accumulations() {
  std::vector<Accumulation> all;
  all.push_back({"matmul", 37, 45, [](Lab& lab, View target) {
                   Matmul args;
                   args.a = lab.real(1100, 37);
                   args.b = lab.real(1100, 45);
                   args.out = target;
                   args.transpose_a = true;
                   args.accumulate = true;
                   lab.backend().matmul(args);
                 }});
  all.push_back(
      {"sum_rows", 1, 45, [](Lab& lab, View target) { lab.backend().sum_rows(target, lab.real(300, 45)); }});
  all.push_back({"embedding_backward", 7, 45, [](Lab& lab, View target) {
                   lab.backend().embedding_backward(target, lab.real(300, 45), lab.random_ints(300, 7));
                 }});
  all.push_back({"rmsnorm_backward", 1, 45, [](Lab& lab, View target) {
                   const View x = lab.real(300, 45), w = lab.real(1, 45), rstd = lab.real(300, 1);
                   lab.backend().rmsnorm_backward(lab.real(300, 45), false, target, x, x, w, rstd);
                 }});
  all.push_back({"layernorm_backward", 1, 45, [](Lab& lab, View target) {
                   const View x = lab.real(300, 45), w = lab.real(1, 45), moments = lab.real(300, 2);
                   lab.backend().layernorm_backward(lab.real(300, 45), false, target, lab.real(1, 45), x, x,
                                                    w, moments);
                 }});
  all.push_back({"grouped_matmul_gradient", 1, 2 * 8 * 45, [](Lab& lab, View target) {
                   const int64_t expert = 8 * 45;
                   const View offsets = lab.ints({0, 100, 1200});
                   lab.backend().grouped_matmul_gradient(target.col_range(0, expert).reshaped(8, 45), expert,
                                                         lab.real(1200, 8), lab.real(1200, 45), offsets);
                 }});
  all.push_back(
      {"head_backward", 9, 45, [](Lab& lab, View target) {
         const View hidden = lab.real(900, 45), weight = lab.real(9, 45), ids = lab.random_ints(900, 9);
         HeadGradients gradients;
         gradients.log_prob = lab.real(900, 1);
         lab.backend().head_backward(lab.real(900, 45), true, target, {}, hidden, weight, ids, gradients, 1);
       }});
  return all;
}

std::vector<float> accumulated(const Accumulation& method, Device& device, const std::vector<double>& start) {
  Lab lab(device);
  const View target = lab.values(method.rows, method.cols, start);
  method.run(lab, target);
  const auto sums = lab.read(target);
  return {sums.begin(), sums.end()};
}

}  // namespace

TEST_CASE("a gradient is finished before it is added, once", "[runtime]") {
  for (const auto& [isa, compute] : available_arithmetics()) {
    const auto device = open_cpu_at(isa, 2, compute);
    for (const Accumulation& method : accumulations()) {
      const auto size = static_cast<size_t>(method.rows * method.cols);
      const auto alone = accumulated(method, *device, std::vector<double>(size, 0.0));
      const auto onto = accumulated(method, *device, std::vector<double>(size, 1000.1F));
      std::vector<float> expected;
      for (const float value : alone) expected.push_back(1000.1F + value);
      INFO(method.name << " on " << isa);
      CHECK((onto == expected));
    }
  }
}

TEST_CASE("a head's gradient that is overwritten has the bits of one added to zeros", "[runtime]") {
  for (const auto& [isa, compute] : available_arithmetics()) {
    const auto device = open_cpu_at(isa, 2, compute);
    for (const int64_t rows : {5, 900}) {  // one chunk, and three
      const auto gradient = [&, rows = rows](bool accumulate, double start) {
        Lab lab(*device);
        const View hidden = lab.real(rows, 45), weight = lab.real(9, 45), ids = lab.random_ints(rows, 9);
        const View dweight = lab.values(9, 45, std::vector<double>(9 * 45, start));
        HeadGradients gradients;
        gradients.log_prob = lab.real(rows, 1);
        lab.backend().head_backward(lab.real(rows, 45), accumulate, dweight, {}, hidden, weight, ids,
                                    gradients, 1);
        return lab.read(dweight);
      };
      INFO(rows << " rows on " << isa);
      CHECK((gradient(false, 1000.1) == gradient(true, 0)));
    }
  }
}

TEST_CASE("a row of a product does not depend on the rows beside it", "[runtime]") {
  for (const auto& [isa, compute] : available_arithmetics()) {
    const auto device = open_cpu_at(isa, 2, compute);
    Lab lab(*device);
    const View a = lab.computed(150, 700), b = lab.computed(90, 700), all = lab.computed(150, 90);
    Matmul args{all, a, false, b, true, false, false, {}, {}};
    lab.backend().matmul(args);
    const auto expected = lab.read(all);
    for (const int64_t rows : {1, 5, 40}) {
      const View some = lab.computed(rows, 90);
      args.out = some;
      args.a = ConstView(a).row_range(100, rows);
      lab.backend().matmul(args);
      INFO(rows << " rows on " << isa);
      CHECK((lab.read(some) ==
             std::vector<double>(expected.begin() + 100 * 90, expected.begin() + (100 + rows) * 90)));
    }
  }
}

TEST_CASE("attention over a cache gives the bits of training's attention", "[runtime]") {
  const AttentionShape shape{4, 2, 24, 0.2};
  const int64_t rows = 200, width = 96, kv = 48;
  for (const auto& [isa, compute] : available_arithmetics()) {
    const auto device = open_cpu_at(isa, 2, compute);
    Lab lab(*device);
    const View q = lab.computed(rows, width), k = lab.computed(rows, kv), v = lab.computed(rows, kv),
               out = lab.computed(rows, width);
    lab.backend().attention(out, lab.real(rows, 4), q, k, v, lab.ints({0, 200}), shape);
    const auto expected = lab.read(out);
    for (const int64_t first : {0, 1, 63, 64, 150, 199}) {
      for (const int64_t count : {1, 3, 50}) {
        if (first + count > rows) continue;
        std::vector<int32_t> sequence(static_cast<size_t>(count), 0), length;
        for (int64_t i = 0; i < count; ++i) length.push_back(static_cast<int32_t>(first + i + 1));
        const View some = lab.computed(count, width);
        lab.backend().cached_attention(some, q.row_range(first, count), k, v, lab.ints(sequence),
                                       lab.ints(length), rows, shape);
        INFO(count << " rows from " << first << " on " << isa);
        CHECK((lab.read(some) == std::vector<double>(expected.begin() + first * width,
                                                     expected.begin() + (first + count) * width)));
      }
    }
  }
}

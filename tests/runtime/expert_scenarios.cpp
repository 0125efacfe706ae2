// The mixture of experts on a grid of shapes, with experts that no token goes to and one to which all go.

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "base/str.hpp"
#include "scenarios.hpp"

namespace gristmill::runtime::test {

namespace {

struct Routed {
  Routing routing;
  View logits;
};

enum class Pull { even, one, half };  ///< where the logits draw tokens: anywhere, to one expert, to half

View logits_of(Lab& lab, int64_t tokens, int64_t experts, Pull pull) {
  const View noise = lab.real(tokens, experts);
  auto values = lab.read(noise);
  for (size_t i = 0; i < values.size(); ++i) {
    const auto expert = static_cast<int64_t>(i) % experts;
    if (pull == Pull::one && expert == experts / 2) values[i] = 40 + std::floor(values[i]);
    if (pull == Pull::half && 2 * expert >= experts) values[i] = -50;  // ties, and none of these chosen
  }
  return lab.values(tokens, experts, values);
}

Routed routed(Lab& lab, int64_t tokens, int64_t experts, int64_t chosen, Pull pull) {
  Routed result;
  result.logits = logits_of(lab, tokens, experts, pull);
  Routing& out = result.routing;
  const auto whole = [&](int64_t rows, int64_t cols) {
    return View(lab.random_ints(rows * cols, 1).reshaped(rows, cols));
  };
  out.probabilities = lab.real(tokens, experts);
  out.lse = lab.real(tokens, 1);
  out.experts = whole(tokens, chosen);
  out.weights = lab.real(tokens, chosen);
  out.offsets = whole(experts + 1, 1);
  out.tokens = whole(tokens * chosen, 1);
  out.places = whole(tokens, chosen);
  out.load = lab.real(1, experts);
  out.mass = lab.real(1, experts);
  lab.backend().route(out, result.logits);
  return result;
}

/// Offsets of `experts` experts over `rows` rows: some without any, the first and the last among them.
std::vector<int32_t> uneven_offsets(int64_t rows, int64_t experts) {
  std::vector<int32_t> offsets{0};
  for (int64_t e = 1; e <= experts; ++e) {
    const bool more = e % 2 == 0 && e < experts;
    offsets.push_back(more ? static_cast<int32_t>(rows * e / experts) : offsets.back());
  }
  if (experts > 2) offsets[static_cast<size_t>(experts) - 1] = static_cast<int32_t>(rows);
  offsets.back() = static_cast<int32_t>(rows);
  return offsets;
}

/// Distinct rows for each of tokens × chosen, far apart.
std::vector<int32_t> scattered_places(int64_t tokens, int64_t chosen) {
  const int64_t rows = tokens * chosen;
  std::vector<int32_t> places;
  for (int64_t i = 0; i < rows; ++i) places.push_back(static_cast<int32_t>(rows - 1 - i));
  if (rows > 2) std::swap(places[0], places[static_cast<size_t>(rows) / 2]);
  return places;
}

void add_routes(std::vector<Scenario>& all, int64_t factor) {
  const int64_t shapes[][3] = {{1, 1, 1}, {1, 8, 2}, {5, 3, 3}, {70, 8, 2}, {130, 17, 4}, {33, 64, 8}};
  for (const auto& shape : shapes) {
    for (const auto pull : {Pull::even, Pull::one, Pull::half}) {
      const int64_t t = shape[0] * factor, e = shape[1], k = shape[2];
      const std::string name = str(t, " tokens to ", k, " of ", e, ", pull ", static_cast<int>(pull));
      all.push_back({str("route ", name), tolerance_of("route"), [=](Lab& lab) {
                       const Routing out = routed(lab, t, e, k, pull).routing;
                       return Outputs{
                           lab.read(out.probabilities), lab.read(out.lse),     lab.read(out.experts),
                           lab.read(out.weights),       lab.read(out.offsets), lab.read(out.tokens),
                           lab.read(out.places),        lab.read(out.load),    lab.read(out.mass)};
                     }});
      for (const bool balanced : {true, false}) {
        all.push_back({str("route_backward ", name, balanced ? " with balance" : ""),
                       tolerance_of("route_backward"), [=](Lab& lab) {
                         const Routing out = routed(lab, t, e, k, pull).routing;
                         const View dlogits = lab.real(t, e), dweights = lab.real(t, k);
                         RouterGradients gradients;
                         if (balanced) {
                           gradients.load = out.load;
                           gradients.balance = 0.5 / static_cast<double>(t);
                           gradients.z = 1e-2;
                         }
                         lab.backend().route_backward(dlogits, dweights, out, gradients);
                         return Outputs{lab.read(dlogits)};
                       }});
      }
    }
  }
}

/// Experts' weights behind each other, `gap` elements apart.
struct Stack {
  View first;
  View all;
  int64_t stride;
};

Stack stacked(Lab& lab, int64_t experts, int64_t rows, int64_t cols, int64_t gap) {
  const int64_t stride = rows * cols + gap;
  const View all = lab.real(1, experts * stride);
  return {all.col_range(0, rows * cols).reshaped(rows, cols), all, stride};
}

void add_products(std::vector<Scenario>& all, int64_t factor) {
  struct Shape {
    int64_t rows, depth, cols, experts;
  };
  for (const auto& s : std::vector<Shape>{
           {1, 5, 3, 1}, {1, 16, 8, 8}, {7, 9, 33, 3}, {150, 40, 70, 4}, {500, 33, 48, 8}, {90, 64, 65, 2}}) {
    const int64_t r = s.rows * factor;
    const std::string name = str(r, " x ", s.depth, " x ", s.cols, " for ", s.experts);
    for (const bool transposed : {true, false}) {
      for (const bool plain : {true, false}) {
        all.push_back(
            {str("grouped_matmul ", name, transposed ? " transposed" : "", plain ? "" : " accumulating"),
             tolerance_of("grouped_matmul"), [=](Lab& lab) {
               const auto b = transposed ? stacked(lab, s.experts, s.cols, s.depth, 5)
                                         : stacked(lab, s.experts, s.depth, s.cols, 0);
               GroupedMatmul args;
               args.a = lab.computed(r, s.depth);
               args.out = lab.computed(r, s.cols);
               args.b = b.first;
               args.transpose_b = transposed;
               args.expert_stride = b.stride;
               args.offsets = lab.ints(uneven_offsets(r, s.experts));
               args.accumulate = !plain;
               args.keep_b = plain;
               lab.backend().grouped_matmul(args);
               return Outputs{lab.read(args.out)};
             }});
      }
    }
    all.push_back(
        {str("grouped_matmul_gradient ", name), tolerance_of("grouped_matmul_gradient"), [=](Lab& lab) {
           const auto dweight = stacked(lab, s.experts, s.cols, s.depth, 3);
           const View dout = lab.computed(r, s.cols), a = lab.computed(r, s.depth);
           lab.backend().grouped_matmul_gradient(dweight.first, dweight.stride, dout, a,
                                                 lab.ints(uneven_offsets(r, s.experts)));
           return Outputs{lab.read(dweight.all)};
         }});
  }
}

void add_combinations(std::vector<Scenario>& all, int64_t factor) {
  const int64_t shapes[][3] = {{1, 1, 1}, {3, 2, 5}, {65, 2, 33}, {40, 3, 130}, {9, 8, 64}};
  for (const auto& shape : shapes) {
    const int64_t t = shape[0] * factor, k = shape[1], c = shape[2];
    const std::string name = str(k, " rows of ", c, " for each of ", t);
    const auto places_of = [=](Lab& lab) { return View(lab.ints(scattered_places(t, k)).reshaped(t, k)); };
    for (const int kind : {0, 1, 2}) {
      all.push_back({str("combine_rows ", name, " kind ", kind), tolerance_of("combine_rows"), [=](Lab& lab) {
                       const View out = lab.computed(t, c), in = lab.computed(t * k, c),
                                  weights = lab.real(t, k), residual = lab.real(t, c);
                       lab.backend().combine_rows(out, in, kind == 1 ? ConstView() : weights, places_of(lab),
                                                  kind == 0   ? ConstView()
                                                  : kind == 1 ? ConstView(out)
                                                              : ConstView(residual));
                       return Outputs{lab.read(out)};
                     }});
    }
    all.push_back({str("combine_rows_backward ", name), tolerance_of("combine_rows_backward"), [=](Lab& lab) {
                     const View din = lab.computed(t * k, c), dweights = lab.real(t, k),
                                dout = lab.computed(t, c), in = lab.computed(t * k, c),
                                weights = lab.real(t, k);
                     lab.backend().combine_rows_backward(din, dweights, dout, in, weights, places_of(lab));
                     return Outputs{lab.read(din), lab.read(dweights)};
                   }});
  }
}

}  // namespace

std::vector<Scenario> expert_scenarios(int64_t factor) {
  std::vector<Scenario> all;
  add_routes(all, factor);
  add_products(all, factor);
  add_combinations(all, factor);
  return all;
}

}  // namespace gristmill::runtime::test

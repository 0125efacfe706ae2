// Routers and combined rows on the emulated GPU: the contract's scenarios, and what they do not reach.

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "parity.hpp"
#include "support/catch.hpp"

using namespace gristmill;
using namespace gristmill::runtime;
using namespace gristmill::runtime::test;

namespace {

std::vector<Scenario> routers_and_rows() {
  return only(expert_scenarios(), {"route", "route_backward", "combine_rows", "combine_rows_backward"});
}

Routing room_for(Lab& lab, int64_t tokens, int64_t experts, int64_t chosen) {
  const auto whole = [&](int64_t rows, int64_t cols) {
    return View(lab.random_ints(rows * cols, 1).reshaped(rows, cols));
  };
  return {lab.real(tokens, experts), lab.real(tokens, 1),   whole(tokens, chosen),
          lab.real(tokens, chosen),  whole(experts + 1, 1), whole(tokens * chosen, 1),
          whole(tokens, chosen),     lab.real(1, experts),  lab.real(1, experts)};
}

Outputs read_all(Lab& lab, const Routing& out) {
  return {lab.read(out.probabilities), lab.read(out.lse),    lab.read(out.experts),
          lab.read(out.weights),       lab.read(out.tokens), lab.read(out.places),
          lab.read(out.offsets),       lab.read(out.load),   lab.read(out.mass)};
}

/// More tokens than a tile of the sort, equal logits and zeros of both signs, an expert without rows.
Scenario many_tokens() {
  return {"route many tokens", tolerance_of("route"), [](Lab& lab) {
            constexpr int64_t kTokens = 700, kExperts = 40, kChosen = 3;
            auto logits = lab.read(lab.real(kTokens, kExperts));
            for (size_t i = 0; i < logits.size(); ++i) {
              logits[i] = std::round(logits[i]);
              if (logits[i] == 0 && i % 3 == 0) logits[i] = -0.0;
              if (i % kExperts == 7) logits[i] = -std::numeric_limits<float>::infinity();
            }
            const Routing out = room_for(lab, kTokens, kExperts, kChosen);
            lab.backend().route(out, lab.values(kTokens, kExperts, logits));
            return read_all(lab, out);
          }};
}

}  // namespace

TEST_CASE("routers and combined rows on a GPU keep the contract", "[cuda]") {
  check_exact(routers_and_rows());
}
TEST_CASE("routers and combined rows on a GPU keep the contract in bf16", "[cuda]") {
  check_mixed(routers_and_rows());
}
TEST_CASE("a router on a GPU orders many tokens, of equal experts the lower first", "[cuda]") {
  check_exact({many_tokens()});
}

TEST_CASE("a router on a GPU may write its probabilities over its logits", "[cuda]") {
  const auto device = open_parity_device(1);
  Lab lab(*device);
  const View logits = lab.real(50, 70);
  Routing apart = room_for(lab, 50, 70, 3), in_place = room_for(lab, 50, 70, 3);
  lab.backend().route(apart, logits);
  in_place.probabilities = logits;
  lab.backend().route(in_place, logits);
  CHECK((read_all(lab, in_place) == read_all(lab, apart)));
}

TEST_CASE("logits that are no numbers still choose distinct experts on a GPU", "[cuda]") {
  const auto device = open_parity_device(1);
  Lab lab(*device);
  const Routing out = room_for(lab, 1, 3, 2);
  lab.backend().route(out, lab.values(1, 3, {NAN, NAN, NAN}));
  CHECK((lab.read(out.experts) == std::vector<double>{0, 1}));
  CHECK((lab.read(out.offsets) == std::vector<double>{0, 1, 2, 2}));
}

TEST_CASE("no tokens are routed to no rows", "[cuda]") {
  const auto device = open_parity_device(1);
  Lab lab(*device);
  Routing out = room_for(lab, 1, 3, 2);
  for (View* view : {&out.probabilities, &out.lse, &out.experts, &out.weights, &out.places})
    *view = view->row_range(0, 0);
  out.tokens = out.tokens.row_range(0, 0);
  lab.backend().route(out, lab.real(1, 3).row_range(0, 0));
  CHECK((lab.read(out.offsets) == std::vector<double>(4)));
  CHECK((lab.read(out.load) == std::vector<double>(3)));
  CHECK((lab.read(out.mass) == std::vector<double>(3)));
}

TEST_CASE("a place that is no row stops a GPU", "[cuda]") {
  const auto device = open_parity_device(1);
  Lab lab(*device);
  const View out = lab.real(1, 2), in = lab.real(4, 2), places = lab.ints({0, 4}).reshaped(1, 2);
  lab.backend().combine_rows(out, in, {}, places, {});
  CHECK_THROWS_AS(lab.read(out), Error);
}

// Draws on the emulated GPU: the very ids of the reference, for filters of each kind, alone and together.

#include <cmath>
#include <cstdint>
#include <limits>
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

std::vector<double> spread(int64_t count) {
  std::vector<double> uniforms;
  for (int64_t i = 0; i < count; ++i)
    uniforms.push_back((static_cast<double>(i) + 0.5) / static_cast<double>(count));
  return uniforms;
}

Outputs draw(Lab& lab, View logits, const std::vector<double>& uniforms, const Sampling& args) {
  const View ids = lab.ints(std::vector<int32_t>(static_cast<size_t>(logits.rows), -1)),
             log_prob = lab.real(logits.rows, 1);
  lab.backend().sample(ids, log_prob, logits, lab.values(logits.rows, 1, uniforms), args);
  return {lab.read(ids), lab.read(log_prob)};
}

/// Rows of different logits, of which some are rounded so that many are equal.
std::vector<Scenario> draws_of(int64_t rows, int64_t vocabulary) {
  std::vector<Scenario> all;
  int number = 0;
  for (const Sampling& args : std::vector<Sampling>{{1, 0, 1, 0},
                                                    {0, 0, 1, 0},
                                                    {0.7, 0, 1, 0},
                                                    {1.5, 5, 1, 0},
                                                    {1, 0, 0.8, 0},
                                                    {1, 0, 1, 0.05},
                                                    {0.9, 20, 0.9, 0.02},
                                                    {1, 1000000, 1e-9, 2}}) {
    for (const bool ties : {false, true}) {
      const std::string name =
          str("sample ", rows, " of ", vocabulary, ", filter ", number, ties ? " with ties" : "");
      all.push_back({name, tolerance_of("sample"), [=](Lab& lab) {
                       const View noise = lab.real(rows, vocabulary, 2);
                       auto logits = lab.read(noise);
                       for (double& logit : logits) logit = ties ? std::round(logit) : logit;
                       return draw(lab, lab.values(rows, vocabulary, logits), spread(rows), args);
                     }});
    }
    ++number;
  }
  return all;
}

/// Many draws from one row.
Scenario draws_from(const std::vector<double>& logits, const Sampling& args, int64_t count) {
  return {"sample one row", tolerance_of("sample"), [=](Lab& lab) {
            std::vector<double> rows;
            for (int64_t i = 0; i < count; ++i) rows.insert(rows.end(), logits.begin(), logits.end());
            const View all = lab.values(count, static_cast<int64_t>(logits.size()), rows);
            return draw(lab, all, spread(count), args);
          }};
}

}  // namespace

TEST_CASE("a GPU draws what the reference draws", "[cuda]") {
  check_exact(draws_of(40, 6));
  check_exact(draws_of(9, 1));
  check_exact(draws_of(12, 1500));
}

TEST_CASE("a GPU keeps what filters keep, of equal ids the lowest", "[cuda]") {
  check_exact({draws_from({0.5, 2.0, -3.0, 1.0, 0.0, -1.0}, {1, 3, 1, 0}, 100),
               draws_from({0, 1, 1, 1, 0}, {1, 2, 1, 0}, 30), draws_from({0, 1, 1, 1, 0}, {1, 0, 0.3, 0}, 30),
               draws_from({-0.0, 0.0, -0.0, -1}, {1, 2, 1, 0}, 30),
               draws_from(std::vector<double>(1000, 0.25), {1, 0, 0.7, 0}, 60)});
}

TEST_CASE("a GPU draws from a vocabulary of 100,000 ids", "[cuda]") {
  Scenario wide = draws_of(2, 100003).back();
  check_exact({wide, draws_of(2, 100003)[12]});
}

TEST_CASE("a uniform that rounds to 1 draws a token that has mass, on a GPU too", "[cuda]") {
  check_exact({{"sample the last", tolerance_of("sample"), [](Lab& lab) {
                  return draw(lab, lab.values(1, 3, {0, 1, -1e30}), {1.0}, {});
                }}});
}

TEST_CASE("a logit that is no number stops a GPU", "[cuda]") {
  const auto device = open_parity_device(1);
  Lab lab(*device);
  CHECK_THROWS_AS(draw(lab, lab.values(1, 3, {0, std::nan(""), 1}), {0.5}, {}), Error);
}

TEST_CASE("an infinite logit stops a GPU", "[cuda]") {
  const auto device = open_parity_device(1);
  Lab lab(*device);
  const double infinite = std::numeric_limits<double>::infinity();
  CHECK_THROWS_AS(draw(lab, lab.values(1, 3, {0, infinite, 1}), {0.5}, {}), Error);
}

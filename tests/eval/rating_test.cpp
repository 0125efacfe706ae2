#include "eval/rating.hpp"

#include <algorithm>
#include <cmath>
#include <map>

#include "base/error.hpp"
#include "eval/bradley_terry.hpp"
#include "eval/csv.hpp"
#include "support/catch.hpp"
#include "support/data.hpp"

using namespace gristmill;
using namespace gristmill::eval;

namespace {

Verdict battle(const std::string& a, const std::string& b, double preference) {
  Verdict v;
  v.model_a = a;
  v.model_b = b;
  v.preference = preference;
  return v;
}

std::vector<Verdict> read_votes(const std::filesystem::path& path) {
  std::vector<Verdict> votes;
  for (const auto& row : read_csv(path.string())) {
    const auto& winner = row.at("winner");
    votes.push_back(battle(row.at("left"), row.at("right"),
                           winner == "left"    ? 1
                           : winner == "right" ? 0
                                               : 0.5));
  }
  return votes;
}

std::map<std::string, double> golden(const std::filesystem::path& path, const std::string& algorithm) {
  std::map<std::string, double> scores;
  for (const auto& row : read_csv(path.string())) {
    if (row.at("algorithm") == algorithm) scores[row.at("item")] = *parse_double(row.at("score"));
  }
  return scores;
}

std::vector<Verdict> synthetic() {
  std::vector<Verdict> votes;
  for (int i = 0; i < 200; ++i) {
    const int a = i % 4, b = (a + 1 + i / 4 % 3) % 4;
    votes.push_back(battle(str("m", a), str("m", b), i * 7 % 10 < 5 + a - b ? 1 : i % 5 == 0 ? 0.5 : 0));
  }
  return votes;
}

}  // namespace

TEST_CASE("Bradley–Terry gives the golden strengths of two small sets of votes", "[eval]") {
  REQUIRE_EXTERNAL_DATA(folder, "eval/bt");
  for (const std::string set : {"simple", "food"}) {
    const auto expected = golden(folder / (set + "-golden.csv"), "bradley_terry");
    RatingOptions options;
    options.bootstrap = 0;
    const auto ratings = rate(read_votes(folder / (set + ".csv")), options);
    double sum = 0;
    std::map<std::string, double> strength;
    for (const auto& row : ratings.rows) sum += strength[row.model] = std::pow(10, (row.rating - 1000) / 400);
    for (const auto& [model, value] : expected) {
      CAPTURE(set, model);
      CHECK(strength.at(model) / sum == Approx(value).margin(1e-6));
    }
  }
}

TEST_CASE("sequential Elo gives the golden ratings of two small sets of votes", "[eval]") {
  REQUIRE_EXTERNAL_DATA(folder, "eval/bt");
  for (const std::string set : {"simple", "food"}) {
    const auto expected = golden(folder / (set + "-golden.csv"), "elo");
    RatingOptions options;
    options.method = RatingMethod::elo;
    options.bootstrap = 0;
    for (const auto& row : rate(read_votes(folder / (set + ".csv")), options).rows) {
      CAPTURE(set, row.model);
      CHECK(std::abs(row.rating - expected.at(row.model)) < 1e-9);
    }
  }
}

TEST_CASE("Bradley–Terry gives Agresti's estimates of the journal citations", "[eval]") {
  REQUIRE_EXTERNAL_DATA(path, "eval/bt/citations_agresti.json");
  const Json json = read_json_file(path.string());
  const auto& matrix = json.at("matrix").as_array();
  WinMatrix wins(matrix.size());
  for (size_t i = 0; i < matrix.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      wins.add(i, j, 1, matrix[i].as_array()[j].as_double());
      wins.add(i, j, 0, matrix[j].as_array()[i].as_double());
    }
  }
  const auto theta = fit_bradley_terry(wins);
  for (size_t i = 0; i < theta.size(); ++i) {
    CHECK(theta[i] - theta[0] ==
          Approx(json.at("theta_rel_Biometrika").as_array()[i].as_double()).margin(1e-6));
  }
}

TEST_CASE("two models have the closed form log odds", "[eval]") {
  WinMatrix wins(2);
  wins.add(0, 1, 1, 7);
  wins.add(0, 1, 0, 2);
  wins.add(0, 1, 0.5, 2);
  const auto theta = fit_bradley_terry(wins);
  CHECK(theta[0] - theta[1] == Approx(std::log(8.0 / 3.0)).epsilon(1e-12));
  CHECK(theta[0] + theta[1] == Approx(0).margin(1e-12));
}

TEST_CASE("the gradient vanishes at the fitted ratings, with and without a prior", "[eval]") {
  WinMatrix wins(5);
  for (size_t a = 0; a < 5; ++a) {
    for (size_t b = 0; b < 5; ++b) {
      if (a != b) wins.add(a, b, 1, static_cast<double>(1 + (a * 3 + b * 5) % 7));
    }
  }
  for (const double prior : {0.0, 1.0, 10.0}) {
    for (const double g : bradley_terry_gradient(wins, fit_bradley_terry(wins, prior), prior))
      CHECK(std::abs(g) < 1e-9);
  }
}

TEST_CASE("a disconnected graph is refused and its groups are named", "[eval]") {
  const std::vector<Verdict> votes = {battle("a", "b", 1), battle("b", "a", 1), battle("c", "d", 0.5)};
  CHECK_THROWS_WITH(rate(votes, {}), gristmill::test::contains("{a, b} {c, d}"));
  // A model that won everything has no finite rating either.
  const std::vector<Verdict> separated = {battle("a", "b", 1), battle("a", "b", 1)};
  CHECK_THROWS_WITH(rate(separated, {}), gristmill::test::contains("{a} {b}"));
  RatingOptions options;
  options.prior = 1;
  const auto ratings = rate(separated, options);
  CHECK(ratings.rows[0].model == "a");
  CHECK(std::isfinite(ratings.rows[0].rating));
  CHECK(ratings.rows[0].battles == 2);
}

TEST_CASE("the bootstrap does not depend on threads and depends on the seed", "[eval]") {
  RatingOptions options;
  options.bootstrap = 100;
  const auto one = rate(synthetic(), options);
  options.threads = 3;
  const auto many = rate(synthetic(), options);
  options.seed = 2;
  const auto other = rate(synthetic(), options);
  bool differs = false;
  for (size_t i = 0; i < one.rows.size(); ++i) {
    CHECK(one.rows[i].lower == many.rows[i].lower);
    CHECK(one.rows[i].upper == many.rows[i].upper);
    CHECK(one.rows[i].lower < one.rows[i].rating);
    CHECK(one.rows[i].rating < one.rows[i].upper);
    differs |= one.rows[i].lower != other.rows[i].lower;
  }
  CHECK(differs);
}

TEST_CASE("intervals of the bootstrap are about as wide as theory says", "[eval]") {
  // 400 fair battles: θ has standard error √(4 / 400) = 0.1, half of it each side.
  std::vector<Verdict> votes;
  for (int i = 0; i < 400; ++i) votes.push_back(battle("a", "b", i % 2));
  const auto ratings = rate(votes, {});
  const double width = (ratings.rows[0].upper - ratings.rows[0].lower) * std::log(10.0) / 400;
  CHECK(width == Approx(2 * 1.96 * 0.1 / 2).epsilon(0.1));
}

TEST_CASE("an anchor stands where it is put and must have battles", "[eval]") {
  RatingOptions options;
  options.bootstrap = 10;
  options.anchor = "m2";
  options.anchor_rating = 1114;
  const auto anchored = rate(synthetic(), options);
  for (const auto& row : anchored.rows) {
    if (row.model == "m2") {
      CHECK(row.rating == Approx(1114));
      CHECK(row.lower == Approx(1114));
    }
  }
  options.anchor = "nobody";
  CHECK_THROWS_WITH(rate(synthetic(), options), gristmill::test::contains("nobody"));
}

TEST_CASE("percentiles interpolate", "[eval]") {
  CHECK(percentile({1, 2, 3, 4, 5}, 0.5) == 3);
  CHECK(percentile({1, 2}, 0.25) == 1.25);
  CHECK(std::isnan(percentile({}, 0.5)));
}

#include "eval/win_rate.hpp"

#include <cmath>
#include <fstream>
#include <sstream>

#include "base/error.hpp"
#include "base/file.hpp"
#include "eval/csv.hpp"
#include "support/catch.hpp"
#include "support/data.hpp"

using namespace gristmill;
using namespace gristmill::eval;

namespace {

std::vector<Verdict> read_annotations(const std::filesystem::path& path) {
  std::vector<Verdict> verdicts;
  LineReader lines(path.string());
  std::string_view line;
  while (lines.next(line)) {
    if (auto verdict = Verdict::parse(line, path.string())) verdicts.push_back(*verdict);
  }
  return verdicts;
}

LengthControlOptions published_setting(const std::filesystem::path& folder) {
  LengthControlOptions options;
  for (const auto& row : read_csv((folder / "instruction_difficulty_recovered.csv").string())) {
    options.difficulty[row.at("inst")] = *parse_double(row.at("instruction_difficulty"));
  }
  options.variants.resize(2);
  LineReader lines((folder / "gamed_baseline_reconstructed.jsonl").string());
  std::string_view line;
  while (lines.next(line)) {
    const Json json = Json::parse(line);
    options.variants[json.at("variant").as_string() == "verbose" ? 0 : 1].push_back(
        {str(json.at("inst").as_int()), json.at("pref01_pseudo").as_double(), json.at("len_2").as_int(),
         json.at("len_1").as_int()});
  }
  return options;
}

Verdict verdict(const std::string& id, double preference, int64_t length_a = 10, int64_t length_b = 10) {
  Verdict v;
  v.id = id;
  v.model_a = "x";
  v.model_b = "y";
  v.preference = preference;
  v.length_a = length_a;
  v.length_b = length_b;
  return v;
}

}  // namespace

TEST_CASE("win rates, errors and average lengths of AlpacaEval are the published ones", "[eval]") {
  REQUIRE_EXTERNAL_DATA(folder, "eval/alpaca_eval");
  int models = 0;
  for (const auto& published : read_csv((folder / "published_dev.csv").string())) {
    const auto& name = published.at("");
    const auto verdicts = read_annotations(folder / "annotations_dev" / (name + ".jsonl"));
    WinRateOptions options;
    options.baseline = "baseline";
    const auto rows = win_rates(verdicts, options);
    REQUIRE(rows.size() == 1);
    CAPTURE(name);
    CHECK(std::abs(rows[0].win_rate - *parse_double(published.at("win_rate"))) < 1e-8);
    CHECK(std::abs(rows[0].standard_error - *parse_double(published.at("standard_error"))) < 1e-8);
    CHECK(std::abs(rows[0].discrete_win_rate - *parse_double(published.at("discrete_win_rate"))) < 1e-8);
    CHECK(str(rows[0].wins) == published.at("n_wins"));
    CHECK(str(rows[0].n) == published.at("n_total"));
    if (published.at("n_total") == "805")
      CHECK(str(rows[0].to_json().at("avg_length").as_int()) == published.at("avg_length"));
    ++models;
  }
  CHECK(models == 30);
}

TEST_CASE("length-controlled win rates of AlpacaEval are refitted within hundredths of a point", "[eval]") {
  REQUIRE_EXTERNAL_DATA(folder, "eval/alpaca_eval");
  auto options = published_setting(folder);
  double worst = 0, worst_chosen = 0;
  for (const auto& published : read_csv((folder / "published_dev.csv").string())) {
    if (published.at("ref_lc").empty()) continue;
    CAPTURE(published.at(""));
    std::vector<LengthRow> rows;
    for (const auto& v : read_annotations(folder / "annotations_dev" / (published.at("") + ".jsonl"))) {
      rows.push_back({v.id, 1 - v.preference, v.length_b, v.length_a});
    }
    options.strength = *parse_double(published.at("C_inferred_from_published_weights"));
    const auto refit = length_controlled(rows, options);
    worst =
        std::max(worst, std::abs(refit.win_rate - *parse_double(published.at("ref_lc_instruction_keyed"))));
    if (published.at("n_total") == "805" && published.at("") != "NullModel") {
      CHECK(std::abs(refit.win_rate - *parse_double(published.at("length_controlled_winrate"))) < 0.02);
      // Older rows of the leaderboard hold another figure in this column.
      if (published.at("").rfind("FuseChat", 0) == 0) {
        CHECK(std::abs(refit.standard_error - *parse_double(published.at("lc_standard_error"))) < 1e-3);
      }
    }
    options.strength = 0;
    const auto chosen = length_controlled(rows, options);
    if (published.at("n_total") == "805") {
      worst_chosen =
          std::max(worst_chosen, std::abs(chosen.win_rate - *parse_double(published.at("ref_lc"))));
    }
  }
  CHECK(worst < 1e-3);
  CHECK(worst_chosen < 0.15);
}

TEST_CASE("the minimal length control without difficulties has its known answers", "[eval]") {
  REQUIRE_EXTERNAL_DATA(folder, "eval/alpaca_eval");
  const LengthControlOptions options;
  for (const auto& published : read_csv((folder / "published_dev.csv").string())) {
    if (published.at("ref_lc").empty()) continue;
    CAPTURE(published.at(""));
    std::vector<LengthRow> rows;
    for (const auto& v : read_annotations(folder / "annotations_dev" / (published.at("") + ".jsonl"))) {
      rows.push_back({v.id, 1 - v.preference, v.length_b, v.length_a});
    }
    const auto minimal = length_controlled(rows, options);
    CHECK(std::abs(minimal.win_rate - *parse_double(published.at("ref_lc_minimal_noL1"))) < 1e-3);
  }
}

TEST_CASE("length control does not depend on the order of the rows", "[eval]") {
  std::vector<LengthRow> rows;
  for (int i = 0; i < 60; ++i)
    rows.push_back({str(i), (i * 7 % 11) / 10.0, 100 + i * 13 % 50, 100 + i * 29 % 70});
  LengthControlOptions options;
  for (int i = 0; i < 60; ++i) options.difficulty[str(i)] = (i * 5 % 9) / 4.0 - 1;
  const auto forward = length_controlled(rows, options);
  std::reverse(rows.begin(), rows.end());
  const auto backward = length_controlled(rows, options);
  CHECK(forward.win_rate == backward.win_rate);
  CHECK(forward.strength == backward.strength);
  CHECK(forward.w_length == backward.w_length);
}

TEST_CASE("length control takes away what length alone explains", "[eval]") {
  // The longer answer always wins with 80 %, whoever wrote it; the model is longer in three of four.
  std::vector<LengthRow> rows;
  for (int i = 0; i < 400; ++i) {
    const bool longer = i % 4 != 0;
    rows.push_back({str(i), i / 4 % 5 == 0 ? (longer ? 0.0 : 1.0) : (longer ? 1.0 : 0.0), longer ? 200 : 100,
                    longer ? 100 : 200});
  }
  double raw = 0;
  for (const auto& row : rows) raw += row.outcome / 400;
  const auto controlled = length_controlled(rows, {});
  CHECK(raw == Approx(0.65));
  CHECK(controlled.win_rate == Approx(50).margin(0.5));
  CHECK(controlled.w_length < 0);
}

TEST_CASE("an unpenalised logistic fit has zero gradient and a strong penalty gives zero", "[eval]") {
  std::vector<LogisticRow> rows;
  for (int i = 0; i < 50; ++i) {
    rows.push_back(
        {{std::sin(i * 0.7), std::cos(i * 1.3), 1}, (i * 3 % 7) / 6.0, 1, static_cast<uint64_t>(i)});
  }
  const auto w = fit_logistic(rows, 1e9);
  for (size_t k = 0; k < 3; ++k) {
    double gradient = 0;
    for (const auto& row : rows) {
      const double z = row.x[0] * w[0] + row.x[1] * w[1] + row.x[2] * w[2];
      gradient += (1 / (1 + std::exp(-z)) - row.y) * row.x[k];
    }
    CHECK(std::abs(gradient) < 1e-7);
  }
  CHECK(fit_logistic(rows, 1e-9) == std::array<double, 3>{0, 0, 0});
}

TEST_CASE("Wilson intervals agree with the textbook", "[eval]") {
  CHECK(normal_quantile(0.975) == Approx(1.959963984540054).epsilon(1e-13));
  CHECK(normal_quantile(0.001) == Approx(-3.090232306167813).epsilon(1e-12));
  const auto none = wilson_interval(0, 10);
  CHECK(none.lower == 0);
  CHECK(none.upper == Approx(0.27753).epsilon(1e-4));
  const auto half = wilson_interval(0.5, 100);
  CHECK(half.lower == Approx(0.40383).epsilon(1e-4));
  CHECK(half.upper == Approx(0.59617).epsilon(1e-4));
}

TEST_CASE("win rates of both sides add up and ties count half", "[eval]") {
  const auto rows = win_rates({verdict("1", 1), verdict("2", 0.5), verdict("3", 0), verdict("4", 1)}, {});
  REQUIRE(rows.size() == 2);
  CHECK(rows[0].model == "x");
  CHECK(rows[0].win_rate == 62.5);
  CHECK(rows[1].win_rate == 37.5);
  CHECK(rows[0].ties == 1);
  CHECK(rows[0].discrete_win_rate == 62.5);
  CHECK(rows[0].lower < 62.5);
  CHECK(rows[0].upper > 62.5);
}

TEST_CASE("length control without lengths and an unknown baseline are clear errors", "[eval]") {
  WinRateOptions options;
  options.length_controlled = true;
  CHECK_THROWS_WITH(win_rates({verdict("1", 1, -1, 5)}, options), gristmill::test::contains("length_a"));
  options = {};
  options.baseline = "z";
  CHECK_THROWS_WITH(win_rates({verdict("1", 1)}, options),
                    gristmill::test::contains("no battles against the baseline"));
  CHECK_THROWS_AS(length_controlled({}, {}), Error);
}

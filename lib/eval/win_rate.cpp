#include "eval/win_rate.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numbers>
#include <utility>

#include "base/error.hpp"

namespace gristmill::eval {

namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

struct Side {
  std::string prompt;
  double outcome;
  int64_t length, other_length;
};

/// Acklam's coefficients: relative error 1.15e-9 before refinement.
double acklam(double p) {
  constexpr double a[] = {-3.969683028665376e+01, 2.209460984245205e+02,  -2.759285104469687e+02,
                          1.383577518672690e+02,  -3.066479806614716e+01, 2.506628277459239e+00};
  constexpr double b[] = {-5.447609879822406e+01, 1.615858368580409e+02, -1.556989798598866e+02,
                          6.680131188771972e+01, -1.328068155288572e+01};
  constexpr double c[] = {-7.784894002430293e-03, -3.223964580411365e-01, -2.400758277161838e+00,
                          -2.549732539343734e+00, 4.374664141464968e+00,  2.938163982698783e+00};
  constexpr double d[] = {7.784695709041462e-03, 3.224671290700398e-01, 2.445134137142996e+00,
                          3.754408661907416e+00};
  constexpr double kLow = 0.02425;
  if (p > 1 - kLow) return -acklam(1 - p);
  if (p < kLow) {
    const double q = std::sqrt(-2 * std::log(p));
    return (((((c[0] * q + c[1]) * q + c[2]) * q + c[3]) * q + c[4]) * q + c[5]) /
           ((((d[0] * q + d[1]) * q + d[2]) * q + d[3]) * q + 1);
  }
  const double q = p - 0.5, r = q * q;
  return (((((a[0] * r + a[1]) * r + a[2]) * r + a[3]) * r + a[4]) * r + a[5]) * q /
         (((((b[0] * r + b[1]) * r + b[2]) * r + b[3]) * r + b[4]) * r + 1);
}

/// Both sides of every battle, by model.
std::map<std::string, std::vector<Side>> sides_by_model(const std::vector<Verdict>& verdicts,
                                                        const std::string& baseline) {
  std::map<std::string, std::vector<Side>> sides;
  for (const auto& v : verdicts) {
    if (!baseline.empty() && v.model_a != baseline && v.model_b != baseline) continue;
    if (v.model_a != baseline) sides[v.model_a].push_back({v.id, v.preference, v.length_a, v.length_b});
    if (v.model_b != baseline) sides[v.model_b].push_back({v.id, 1 - v.preference, v.length_b, v.length_a});
  }
  if (sides.empty()) fail(Kind::input, "no battles against the baseline ", in_quotes(baseline));
  return sides;
}

LengthControl control_length(const std::string& model, const std::vector<Side>& sides,
                             const LengthControlOptions& options) {
  std::vector<LengthRow> rows;
  for (const auto& side : sides) {
    if (side.length < 0 || side.other_length < 0) {
      fail(Kind::input, "--length-controlled needs length_a and length_b in every verdict; one of ",
           in_quotes(model), " has none");
    }
    if (side.prompt.empty())
      fail(Kind::input, "--length-controlled needs the id of the prompt in every verdict");
    rows.push_back({side.prompt, side.outcome, side.length, side.other_length});
  }
  return length_controlled(rows, options);
}

double average_length(const std::vector<Side>& sides) {
  double sum = 0;
  for (const auto& side : sides) {
    if (side.length < 0) return kNan;
    sum += static_cast<double>(side.length);
  }
  return std::floor(sum / static_cast<double>(sides.size()));
}

WinRate summarize(const std::string& model, const std::vector<Side>& sides, const WinRateOptions& options) {
  WinRate row;
  row.model = model;
  row.n = sides.size();
  const auto n = static_cast<double>(row.n);
  double sum = 0, squares = 0;
  for (const auto& side : sides) {
    sum += side.outcome;
    ++(side.outcome > 0.5 ? row.wins : side.outcome < 0.5 ? row.losses : row.ties);
  }
  const double mean = sum / n;
  for (const auto& side : sides) squares += (side.outcome - mean) * (side.outcome - mean);
  row.win_rate = 100 * mean;
  row.standard_error = row.n > 1 ? 100 * std::sqrt(squares / (n - 1)) / std::sqrt(n) : kNan;
  row.discrete_win_rate = 100 * (static_cast<double>(row.wins) + static_cast<double>(row.ties) / 2) / n;
  const auto interval = wilson_interval(mean, n, options.confidence);
  row.lower = 100 * interval.lower;
  row.upper = 100 * interval.upper;
  row.average_length = average_length(sides);
  if (options.length_controlled) {
    row.has_length_control = true;
    row.length_control = control_length(model, sides, options.length);
  }
  return row;
}

}  // namespace

double normal_quantile(double p) {
  const double z = acklam(p);
  const double error = std::erfc(-z / std::numbers::sqrt2) / 2 - p;
  const double density = std::exp(-z * z / 2) / std::sqrt(2 * std::numbers::pi);
  return z - error / density;
}

Interval wilson_interval(double proportion, double n, double confidence) {
  const double z = normal_quantile(1 - (1 - confidence) / 2);
  const double center = proportion + z * z / (2 * n);
  const double half = z * std::sqrt(proportion * (1 - proportion) / n + z * z / (4 * n * n));
  const double scale = 1 + z * z / n;
  // At the ends the formula gives 0 and 1 exactly but for rounding.
  return {proportion <= 0 ? 0 : (center - half) / scale, proportion >= 1 ? 1 : (center + half) / scale};
}

Json WinRate::to_json() const {
  Json json = Json::object();
  json["model"] = model;
  json["n"] = n;
  json["win_rate"] = win_rate;
  json["standard_error"] = standard_error;
  json["length_controlled"] = has_length_control ? Json(length_control.win_rate) : Json();
  json["avg_length"] = std::isnan(average_length) ? Json() : Json(static_cast<int64_t>(average_length));
  json["lower"] = lower;
  json["upper"] = upper;
  json["discrete_win_rate"] = discrete_win_rate;
  json["wins"] = wins;
  json["losses"] = losses;
  json["ties"] = ties;
  if (has_length_control) {
    json["w_length"] = length_control.w_length;
    json["w_difficulty"] = length_control.w_difficulty;
    json["w_bias"] = length_control.w_bias;
    json["strength"] = length_control.strength;
    json["without_difficulty"] = length_control.without_difficulty;
  }
  return json;
}

std::vector<WinRate> win_rates(const std::vector<Verdict>& verdicts, const WinRateOptions& options) {
  if (!(options.confidence > 0 && options.confidence < 1))
    fail(Kind::usage, "--confidence lies between 0 and 1");
  const auto& length = options.length;
  const bool steered = !length.difficulty.empty() || !length.variants.empty() || length.strength > 0;
  if (steered && !options.length_controlled)
    fail(Kind::usage, "--difficulty, --variants and --strength are for --length-controlled");
  std::vector<WinRate> rows;
  for (const auto& [model, sides] : sides_by_model(verdicts, options.baseline)) {
    rows.push_back(summarize(model, sides, options));
  }
  return rows;
}

}  // namespace gristmill::eval

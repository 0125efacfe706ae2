#include "eval/length_control.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>
#include <utility>

#include "base/error.hpp"

namespace gristmill::eval {

namespace {

using Weights = std::array<double, 3>;

constexpr int kMaxIterations = 200, kSweeps = 200, kStrengths = 10;
constexpr double kUnpenalised = 1e4, kProbabilityFloor = 1e-15;

double sigmoid(double z) { return 1 / (1 + std::exp(-z)); }
double score(const LogisticRow& row, const Weights& w) {
  return row.x[0] * w[0] + row.x[1] * w[1] + row.x[2] * w[2];
}

double objective(const std::vector<LogisticRow>& rows, double strength, const Weights& w) {
  double loss = 0;
  for (const auto& row : rows) {
    const double z = score(row, w);
    loss += row.weight * (std::max(z, 0.0) + std::log1p(std::exp(-std::abs(z))) - row.y * z);
  }
  return std::abs(w[0]) + std::abs(w[1]) + std::abs(w[2]) + strength * loss;
}

struct Quadratic {
  Weights gradient{};
  std::array<Weights, 3> hessian{};
};

Quadratic expand(const std::vector<LogisticRow>& rows, double strength, const Weights& w) {
  Quadratic q;
  for (const auto& row : rows) {
    const double p = sigmoid(score(row, w));
    const double slope = strength * row.weight * (p - row.y), curve = strength * row.weight * p * (1 - p);
    for (size_t i = 0; i < 3; ++i) {
      q.gradient[i] += slope * row.x[i];
      for (size_t j = 0; j < 3; ++j) q.hessian[i][j] += curve * row.x[i] * row.x[j];
    }
  }
  for (size_t i = 0; i < 3; ++i) q.hessian[i][i] += 1e-12;  // a column of zeros must not divide by zero
  return q;
}

/// argmin over d of g·d + ½ dᵀHd + |w + d|₁, by coordinate descent with soft thresholding.
Weights proximal_step(const Quadratic& q, const Weights& w) {
  Weights d{};
  for (int sweep = 0; sweep < kSweeps; ++sweep) {
    double moved = 0;
    for (size_t i = 0; i < 3; ++i) {
      double slope = q.gradient[i];
      for (size_t j = 0; j < 3; ++j) slope += q.hessian[i][j] * d[j];
      const double h = q.hessian[i][i];
      const double target = w[i] + d[i] - slope / h;
      const double shrunk = std::copysign(std::max(std::abs(target) - 1 / h, 0.0), target);
      moved = std::max(moved, std::abs(shrunk - w[i] - d[i]));
      d[i] = shrunk - w[i];
    }
    if (moved < 1e-14) break;
  }
  return d;
}

/// Mean weighted log-likelihood of held-out rows.
double held_out(const std::vector<LogisticRow>& rows, const Weights& w) {
  double sum = 0, weight = 0;
  for (const auto& row : rows) {
    const double p = std::clamp(sigmoid(score(row, w)), kProbabilityFloor, 1 - kProbabilityFloor);
    sum += row.weight * (row.y * std::log(p) + (1 - row.y) * std::log1p(-p));
    weight += row.weight;
  }
  return sum / weight;
}

double choose_strength(const std::vector<LogisticRow>& rows, uint64_t groups, int folds) {
  if (groups < static_cast<uint64_t>(folds)) return kUnpenalised;
  std::array<double, kStrengths> scores{};
  for (int fold = 0; fold < folds; ++fold) {
    std::vector<LogisticRow> train, test;
    for (const auto& row : rows)
      (row.group % static_cast<uint64_t>(folds) == static_cast<uint64_t>(fold) ? test : train).push_back(row);
    Weights w{};
    for (size_t i = 0; i < kStrengths; ++i) {
      w = fit_logistic(train, std::pow(10.0, -4 + 8.0 * static_cast<double>(i) / (kStrengths - 1)), w);
      scores[i] += held_out(test, w);
    }
  }
  const auto best = static_cast<size_t>(std::max_element(scores.begin(), scores.end()) - scores.begin());
  return std::pow(10.0, -4 + 8.0 * static_cast<double>(best) / (kStrengths - 1));
}

/// sd of the length differences with n − 1; 0 when there is nothing to scale.
double deviation(const std::vector<LengthRow>& rows) {
  double mean = 0, squares = 0;
  for (const auto& row : rows) mean += static_cast<double>(row.length_baseline - row.length_model);
  mean /= static_cast<double>(rows.size());
  for (const auto& row : rows) {
    const double d = static_cast<double>(row.length_baseline - row.length_model) - mean;
    squares += d * d;
  }
  return rows.size() < 2 ? 0 : std::sqrt(squares / static_cast<double>(rows.size() - 1));
}

/// Prompts that are numbers are ordered as numbers, the rest by bytes behind them.
bool prompt_less(const std::string& a, const std::string& b) {
  const auto x = parse_int(a), y = parse_int(b);
  if (x && y) return *x < *y;
  if (x.has_value() != y.has_value()) return x.has_value();
  return a < b;
}

std::vector<LengthRow> sorted(std::vector<LengthRow> rows) {
  std::sort(rows.begin(), rows.end(), [](const LengthRow& a, const LengthRow& b) {
    if (a.prompt != b.prompt) return prompt_less(a.prompt, b.prompt);
    return std::tie(a.length_model, a.length_baseline, a.outcome) <
           std::tie(b.length_model, b.length_baseline, b.outcome);
  });
  return rows;
}

/// Numbers the prompts in their order: consecutive prompts fall into different folds.
class Grouping {
 public:
  void add(const std::vector<LengthRow>& rows) {
    for (const auto& row : rows) prompts_.push_back(row.prompt);
  }
  void finish() {
    std::sort(prompts_.begin(), prompts_.end(), prompt_less);
    prompts_.erase(std::unique(prompts_.begin(), prompts_.end()), prompts_.end());
  }
  uint64_t of(const std::string& prompt) const {
    return static_cast<uint64_t>(std::lower_bound(prompts_.begin(), prompts_.end(), prompt, prompt_less) -
                                 prompts_.begin());
  }
  uint64_t size() const { return prompts_.size(); }

 private:
  std::vector<std::string> prompts_;
};

/// Appends the logistic rows of one list; those without a difficulty, where difficulties are used, are left
/// out and counted.
uint64_t append_rows(const std::vector<LengthRow>& rows, const LengthControlOptions& options,
                     const Grouping& groups, bool is_model, double weight, std::vector<LogisticRow>& out) {
  const double scale = deviation(rows);
  uint64_t left_out = 0;
  for (const auto& row : rows) {
    LogisticRow logistic{{}, row.outcome, weight, groups.of(row.prompt)};
    const double delta = static_cast<double>(row.length_baseline - row.length_model);
    logistic.x[0] = scale > 0 ? std::tanh(delta / scale) : 0;
    logistic.x[2] = is_model ? 1 : 0;
    if (!options.difficulty.empty()) {
      const auto found = options.difficulty.find(row.prompt);
      if (found == options.difficulty.end()) {
        ++left_out;
        continue;
      }
      logistic.x[1] = found->second;
    }
    out.push_back(logistic);
  }
  return left_out;
}

/// The win rate that the fitted model predicts at equal lengths.
void predict(const std::vector<LogisticRow>& rows, const Weights& w, LengthControl& result) {
  double sum = 0, squares = 0;
  std::vector<double> predictions;
  for (const auto& row : rows) {
    if (row.x[2] > 0) predictions.push_back(sigmoid(w[1] * row.x[1] + w[2]));
  }
  const auto n = static_cast<double>(predictions.size());
  for (const double p : predictions) sum += p;
  for (const double p : predictions) squares += (p - sum / n) * (p - sum / n);
  result.win_rate = 100 * sum / n;
  result.standard_error = n > 1 ? 100 * std::sqrt(squares / (n - 1) / n) : 0;
  result.rows = predictions.size();
}

}  // namespace

Weights fit_logistic(const std::vector<LogisticRow>& rows, double strength, Weights w) {
  double value = objective(rows, strength, w);
  for (int iteration = 0; iteration < kMaxIterations; ++iteration) {
    const Weights step = proximal_step(expand(rows, strength, w), w);
    const double largest = std::max({std::abs(step[0]), std::abs(step[1]), std::abs(step[2])});
    if (!std::isfinite(largest)) fail(Kind::internal, "length-controlled fit ran away");
    if (largest < 1e-10) break;
    Weights next = w;
    double reached = std::numeric_limits<double>::infinity();
    for (double scale = 1; scale > 1e-8 && !(reached <= value + 1e-13 * std::abs(value)); scale /= 2) {
      for (size_t i = 0; i < 3; ++i) next[i] = w[i] + scale * step[i];
      reached = objective(rows, strength, next);
    }
    if (!(reached <= value + 1e-13 * std::abs(value))) break;  // rounding is all that is left
    w = next;
    value = reached;
  }
  return w;
}

LengthControl length_controlled(const std::vector<LengthRow>& unsorted, const LengthControlOptions& options) {
  if (options.folds < 2) fail(Kind::usage, "length control needs at least 2 folds");
  const auto model_rows = sorted(unsorted);
  Grouping groups;
  groups.add(model_rows);
  for (const auto& variant : options.variants) groups.add(variant);
  groups.finish();
  LengthControl result;
  std::vector<LogisticRow> rows;
  result.without_difficulty = append_rows(model_rows, options, groups, true, 1, rows);
  if (rows.empty())
    fail(Kind::input, "length control: no judged rows",
         options.difficulty.empty() ? "" : " with a difficulty");
  for (const auto& variant : options.variants) {
    const double weight = options.variant_weight / static_cast<double>(options.variants.size());
    append_rows(sorted(variant), options, groups, false, weight, rows);
  }
  result.strength = options.strength;
  if (result.strength <= 0) {
    result.strength =
        options.difficulty.empty() ? kUnpenalised : choose_strength(rows, groups.size(), options.folds);
  }
  const Weights w = fit_logistic(rows, result.strength);
  result.w_length = w[0];
  result.w_difficulty = w[1];
  result.w_bias = w[2];
  predict(rows, w, result);
  return result;
}

}  // namespace gristmill::eval

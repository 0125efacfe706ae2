#pragma once

// Win rates of models from verdicts, AlpacaEval's way: the mean of P(model is better) in percent with its
// standard error, and a Wilson interval (Wilson 1927) that stays sensible at 0 and 100 % and for few battles.

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.hpp"
#include "eval/length_control.hpp"
#include "eval/verdict.hpp"

namespace gristmill::eval {

struct WinRateOptions {
  std::string baseline;            ///< only battles against this model; empty = against whomever
  bool length_controlled = false;  ///< needs the lengths of both answers in every verdict
  LengthControlOptions length;
  double confidence = 0.95;
};

struct WinRate {
  std::string model;
  uint64_t n = 0, wins = 0, losses = 0, ties = 0;
  double win_rate = 0, standard_error = 0;  ///< percent; the error is NaN for one battle
  double lower = 0, upper = 0;              ///< percent, Wilson
  double discrete_win_rate = 0;             ///< percent, (wins + ½ ties) / n
  double average_length = 0;  ///< of the model's answers, code points; NaN where lengths are unknown
  bool has_length_control = false;
  LengthControl length_control;
  Json to_json() const;
};

/// One row a model except the baseline, by name. Error{input} if the baseline, or no other model, has
/// battles.
std::vector<WinRate> win_rates(const std::vector<Verdict>& verdicts, const WinRateOptions& options);

struct Interval {
  double lower = 0, upper = 1;
};

/// Wilson's score interval of a proportion in [0, 1]; n > 0.
Interval wilson_interval(double proportion, double n, double confidence = 0.95);

/// z with Φ(z) = p, 0 < p < 1 (Acklam's rational approximation and one Newton step: 1e-15).
double normal_quantile(double p);

}  // namespace gristmill::eval

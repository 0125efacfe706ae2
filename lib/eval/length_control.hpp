#pragma once

// Length-controlled win rates (Dubois et al. 2024, AlpacaEval 2). A logistic model explains who won by the
// difference of lengths, the difficulty of the prompt and the model; the win rate is what it predicts at
// equal lengths:
//
//   z_i = w_length · tanh(δ_i / sd(δ)) + w_difficulty · d_i + w_bias · m_i,     δ = length(baseline) −
//   length(model) minimise |w|₁ + C Σ s_i [log(1 + e^z_i) − y_i z_i] LC = mean over the model's rows of
//   σ(w_difficulty · d_i + w_bias)
//
// m_i = 1 and s_i = 1 for the model's rows. Rows of the baseline's own longer and shorter variants, where
// given, have m_i = 0 and s_i = 0.2 / variants; they pin down what length alone is worth. C is chosen by
// 5-fold cross-validation over prompts. Rows are keyed by prompt, never by position, and sorted first, so
// that their order does not matter.

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace gristmill::eval {

/// One judged pair from the model's side.
struct LengthRow {
  std::string prompt;
  double outcome = 0.5;  ///< P(model is better)
  int64_t length_model = 0, length_baseline = 0;
};

struct LengthControlOptions {
  /// Difficulty of prompts; empty = the term is left out (needs some 20 models to estimate).
  std::map<std::string, double> difficulty;
  /// Rows of the baseline's variants against the baseline, one list a variant.
  std::vector<std::vector<LengthRow>> variants;
  double variant_weight = 0.2;  ///< of all variants together
  double strength =
      0;  ///< C; 0 = by cross-validation with difficulties, 10⁴ (no penalty to speak of) without
  int folds = 5;
};

struct LengthControl {
  double win_rate = 0;  ///< percent
  double standard_error =
      0;  ///< 100 sd / √n of the predictions, AlpacaEval's figure: says nothing of the fit's own error
  double w_length = 0, w_difficulty = 0, w_bias = 0;
  double strength = 0;
  uint64_t rows = 0;
  uint64_t without_difficulty = 0;  ///< rows left out because their prompt has no difficulty
};

/// Error{input} without rows.
LengthControl length_controlled(const std::vector<LengthRow>& rows, const LengthControlOptions& options);

/// A row of the logistic model.
struct LogisticRow {
  std::array<double, 3> x{};
  double y = 0, weight = 1;
  uint64_t group = 0;  ///< rows of one prompt stay in one fold
};

/// argmin |w|₁ + strength · Σ weight · loss, by proximal Newton steps: deterministic, to 1e-10.
std::array<double, 3> fit_logistic(const std::vector<LogisticRow>& rows, double strength,
                                   std::array<double, 3> start = {});

}  // namespace gristmill::eval

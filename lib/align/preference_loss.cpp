#include "align/preference_loss.hpp"

#include <cmath>

#include "base/error.hpp"

namespace gristmill::align {

namespace {

/// A loss as a function of one number, and its derivative.
struct Scalar {
  double value, slope;
};

Scalar negative_log_sigmoid(double x) { return {-log_sigmoid(x), -sigmoid(-x)}; }

Scalar smoothed(double x, double epsilon, double wrong_sign) {
  const auto right = negative_log_sigmoid(x), wrong = negative_log_sigmoid(-x);
  return {(1 - epsilon) * right.value + wrong_sign * epsilon * wrong.value,
          (1 - epsilon) * right.slope - wrong_sign * epsilon * wrong.slope};
}

Scalar loss_of_margin(double margin, const DpoLossOptions& options) {
  const double x = options.beta * margin;
  const double epsilon = options.label_smoothing;
  switch (options.loss) {
    case DpoLoss::hinge:
      return x < 1 ? Scalar{1 - x, -options.beta} : Scalar{0, 0};
    case DpoLoss::ipo:
    case DpoLoss::ipo_average: {
      const double miss = margin - 1 / (2 * options.beta);
      return {miss * miss, 2 * miss};
    }
    case DpoLoss::robust: {
      const auto loss = smoothed(x, epsilon, -1);
      return {loss.value / (1 - 2 * epsilon), options.beta * loss.slope / (1 - 2 * epsilon)};
    }
    case DpoLoss::sigmoid:
    case DpoLoss::sigmoid_norm:
      break;
  }
  const auto loss = smoothed(x, epsilon, 1);
  return {loss.value, options.beta * loss.slope};
}

}  // namespace

double sigmoid(double x) { return x >= 0 ? 1 / (1 + std::exp(-x)) : std::exp(x) / (1 + std::exp(x)); }

double log_sigmoid(double x) { return x >= 0 ? -std::log1p(std::exp(-x)) : x - std::log1p(std::exp(x)); }

void validate(const DpoLossOptions& options) {
  if (!(options.beta > 0)) fail(Kind::usage, "--beta must be positive, not ", options.beta);
  const double epsilon = options.label_smoothing;
  if (!(epsilon >= 0 && epsilon < 0.5))
    fail(Kind::usage, "--label-smoothing must lie in [0, 0.5), not ", epsilon);
  if (options.loss == DpoLoss::robust && epsilon == 0) {
    fail(Kind::usage, "--loss robust needs --label-smoothing above 0; without it use --loss sigmoid");
  }
  if (epsilon > 0 && options.loss != DpoLoss::sigmoid && options.loss != DpoLoss::robust) {
    fail(Kind::usage, "--label-smoothing works with --loss sigmoid and robust only");
  }
}

PairLoss dpo_loss(const PairLogProbs& pair, const DpoLossOptions& options) {
  const bool averaged = options.loss == DpoLoss::ipo_average || options.loss == DpoLoss::sigmoid_norm;
  const double weight_chosen = averaged ? 1 / static_cast<double>(pair.length_chosen) : 1;
  const double weight_rejected = averaged ? 1 / static_cast<double>(pair.length_rejected) : 1;
  const double margin = weight_chosen * pair.chosen_ratio() - weight_rejected * pair.rejected_ratio();
  const auto loss = loss_of_margin(margin, options);
  return {loss.value, loss.slope * weight_chosen, -loss.slope * weight_rejected};
}

PairLoss bradley_terry_loss(double chosen, double rejected, double margin, double centering) {
  const auto loss = negative_log_sigmoid(chosen - rejected - margin);
  const double sum = chosen + rejected;
  const double pull = 2 * centering * sum;
  return {loss.value + centering * sum * sum, loss.slope + pull, -loss.slope + pull};
}

}  // namespace gristmill::align

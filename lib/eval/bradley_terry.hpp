#pragma once

// Bradley–Terry (1952): P(a beats b) = σ(θ_a − θ_b), fitted by maximum likelihood with ties as half a win
// each:
//
//   maximise Σ_ab w_ab log σ(θ_a − θ_b)   (+ prior · Σ_a [½ log σ(θ_a) + ½ log σ(−θ_a)]),   Σ θ = 0
//
// The maximum exists iff the graph "a won or tied against b" is strongly connected (Ford 1957); otherwise
// some rating is infinite.

#include <cstddef>
#include <string>
#include <vector>

namespace gristmill::eval {

/// Sums of wins: wins(a, b) is how often a beat b, ties counting half to both.
class WinMatrix {
 public:
  explicit WinMatrix(size_t models) : models_(models), wins_(models * models, 0.0) {}
  size_t models() const { return models_; }
  double wins(size_t a, size_t b) const { return wins_[a * models_ + b]; }
  /// One battle: `preference` = 1 if a won, 0 if b won, ½ for a tie.
  void add(size_t a, size_t b, double preference, double weight = 1) {
    wins_[a * models_ + b] += weight * preference;
    wins_[b * models_ + a] += weight * (1 - preference);
  }

 private:
  size_t models_;
  std::vector<double> wins_;
};

/// The strongly connected components of "won or tied against", each ascending, ordered by their first model.
std::vector<std::vector<size_t>> comparison_components(const WinMatrix& wins);

/// θ with mean 0, by Newton's method. `prior` > 0 adds that many virtual ties against a player of rating 0 to
/// every model, which makes every rating finite. With prior = 0 the graph must be connected: Error{input}
/// otherwise.
std::vector<double> fit_bradley_terry(const WinMatrix& wins, double prior = 0);

/// The gradient of the log-likelihood at θ: zero at the maximum.
std::vector<double> bradley_terry_gradient(const WinMatrix& wins, const std::vector<double>& theta,
                                           double prior = 0);

/// x of A x = b for a symmetric positive definite n × n matrix (Cholesky); A is overwritten. Error{internal}
/// if it is none.
std::vector<double> solve_positive_definite(std::vector<double> a, std::vector<double> b);

}  // namespace gristmill::eval

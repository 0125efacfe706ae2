#include "eval/bradley_terry.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.hpp"

namespace gristmill::eval {

namespace {

constexpr int kMaxIterations = 200;
constexpr double kStepTolerance = 1e-12;

double sigmoid(double z) { return 1 / (1 + std::exp(-z)); }
/// log σ(z) without overflow.
double log_sigmoid(double z) { return z < 0 ? z - std::log1p(std::exp(z)) : -std::log1p(std::exp(-z)); }

double log_likelihood(const WinMatrix& wins, const std::vector<double>& theta, double prior) {
  double sum = 0;
  for (size_t a = 0; a < wins.models(); ++a) {
    for (size_t b = 0; b < wins.models(); ++b) {
      if (wins.wins(a, b) > 0) sum += wins.wins(a, b) * log_sigmoid(theta[a] - theta[b]);
    }
    sum += prior * (log_sigmoid(theta[a]) + log_sigmoid(-theta[a])) / 2;
  }
  return sum;
}

/// Models reachable from `start`; forward along wins, backward along losses.
std::vector<char> reachable(const WinMatrix& wins, size_t start, bool forward) {
  std::vector<char> seen(wins.models(), 0);
  std::vector<size_t> todo = {start};
  seen[start] = 1;
  while (!todo.empty()) {
    const size_t at = todo.back();
    todo.pop_back();
    for (size_t next = 0; next < wins.models(); ++next) {
      const double edge = forward ? wins.wins(at, next) : wins.wins(next, at);
      if (edge > 0 && seen[next] == 0) {
        seen[next] = 1;
        todo.push_back(next);
      }
    }
  }
  return seen;
}

bool connected(const WinMatrix& wins) {
  const auto all = [](const std::vector<char>& seen) {
    return std::all_of(seen.begin(), seen.end(), [](char here) { return here != 0; });
  };
  return wins.models() > 0 && all(reachable(wins, 0, true)) && all(reachable(wins, 0, false));
}

/// −∇²L. Without a prior the Hessian is singular along (1, …, 1); adding 11ᵀ/n fixes the gauge and changes no
/// step, since the gradient has no part along it.
std::vector<double> information(const WinMatrix& wins, const std::vector<double>& theta, double prior) {
  const size_t n = wins.models();
  std::vector<double> h(n * n, prior > 0 ? 0.0 : 1.0 / static_cast<double>(n));
  for (size_t a = 0; a < n; ++a) {
    for (size_t b = 0; b < a; ++b) {
      const double battles = wins.wins(a, b) + wins.wins(b, a);
      if (battles <= 0) continue;
      const double p = sigmoid(theta[a] - theta[b]);
      const double v = battles * p * (1 - p);
      h[a * n + a] += v;
      h[b * n + b] += v;
      h[a * n + b] -= v;
      h[b * n + a] -= v;
    }
    const double p = sigmoid(theta[a]);
    h[a * n + a] += prior * p * (1 - p);
  }
  return h;
}

void center(std::vector<double>& theta) {
  double mean = 0;
  for (const double value : theta) mean += value;
  mean /= static_cast<double>(theta.size());
  for (double& value : theta) value -= mean;
}

/// θ + step, halved until the likelihood does not fall (it is concave, so a short enough step always rises).
std::vector<double> advance(const WinMatrix& wins, const std::vector<double>& theta,
                            const std::vector<double>& step, double prior) {
  const double before = log_likelihood(wins, theta, prior);
  std::vector<double> next(theta.size());
  for (double scale = 1; scale > 1e-10; scale /= 2) {
    for (size_t i = 0; i < theta.size(); ++i) next[i] = theta[i] + scale * step[i];
    if (log_likelihood(wins, next, prior) >= before - 1e-12 * std::abs(before)) return next;
  }
  return theta;
}

}  // namespace

std::vector<std::vector<size_t>> comparison_components(const WinMatrix& wins) {
  std::vector<std::vector<size_t>> components;
  std::vector<char> done(wins.models(), 0);
  for (size_t start = 0; start < wins.models(); ++start) {
    if (done[start] != 0) continue;
    const auto forward = reachable(wins, start, true), backward = reachable(wins, start, false);
    std::vector<size_t> component;
    for (size_t i = 0; i < wins.models(); ++i) {
      if (forward[i] == 0 || backward[i] == 0) continue;
      component.push_back(i);
      done[i] = 1;
    }
    components.push_back(std::move(component));
  }
  return components;
}

std::vector<double> bradley_terry_gradient(const WinMatrix& wins, const std::vector<double>& theta,
                                           double prior) {
  std::vector<double> gradient(wins.models(), 0.0);
  for (size_t a = 0; a < wins.models(); ++a) {
    for (size_t b = 0; b < wins.models(); ++b) {
      const double battles = wins.wins(a, b) + wins.wins(b, a);
      if (battles > 0) gradient[a] += wins.wins(a, b) - battles * sigmoid(theta[a] - theta[b]);
    }
    gradient[a] += prior * (0.5 - sigmoid(theta[a]));
  }
  return gradient;
}

std::vector<double> fit_bradley_terry(const WinMatrix& wins, double prior) {
  if (prior <= 0 && !connected(wins)) {
    fail(Kind::input, "the comparison graph is not connected: some ratings would be infinite");
  }
  std::vector<double> theta(wins.models(), 0.0);
  for (int iteration = 0; iteration < kMaxIterations; ++iteration) {
    const auto step =
        solve_positive_definite(information(wins, theta, prior), bradley_terry_gradient(wins, theta, prior));
    theta = advance(wins, theta, step, prior);
    const double largest = std::abs(*std::max_element(
        step.begin(), step.end(), [](double x, double y) { return std::abs(x) < std::abs(y); }));
    if (!std::isfinite(largest)) fail(Kind::internal, "Bradley–Terry fit ran away");
    if (largest < kStepTolerance) break;
  }
  if (prior <= 0) center(theta);
  return theta;
}

std::vector<double> solve_positive_definite(std::vector<double> a, std::vector<double> b) {
  const size_t n = b.size();
  for (size_t j = 0; j < n; ++j) {  // A = L Lᵀ, L in the lower triangle
    double diagonal = a[j * n + j];
    for (size_t k = 0; k < j; ++k) diagonal -= a[j * n + k] * a[j * n + k];
    if (!(diagonal > 0)) fail(Kind::internal, "matrix is not positive definite");
    a[j * n + j] = std::sqrt(diagonal);
    for (size_t i = j + 1; i < n; ++i) {
      double sum = a[i * n + j];
      for (size_t k = 0; k < j; ++k) sum -= a[i * n + k] * a[j * n + k];
      a[i * n + j] = sum / a[j * n + j];
    }
  }
  for (size_t i = 0; i < n; ++i) {
    for (size_t k = 0; k < i; ++k) b[i] -= a[i * n + k] * b[k];
    b[i] /= a[i * n + i];
  }
  for (size_t i = n; i-- > 0;) {
    for (size_t k = i + 1; k < n; ++k) b[i] -= a[k * n + i] * b[k];
    b[i] /= a[i * n + i];
  }
  return b;
}

}  // namespace gristmill::eval

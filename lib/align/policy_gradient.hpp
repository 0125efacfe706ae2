#pragma once

// The arithmetic of PPO for language models (Schulman et al. 2017; Ziegler et al. 2019; Ouyang et al. 2022),
// on the host in double. A response is a run of tokens; values V_t are the critic's estimates in front of
// token t.

#include <cstdint>
#include <span>
#include <vector>

namespace gristmill::align {

/// r_t = −kl_coefficient · (logp_t − ref_t), plus the score at the last token. A response without an
/// end-of-turn token is scored `missing_end_penalty` less.
struct RewardOptions {
  double kl_coefficient = 0.05;
  double missing_end_penalty = 1.0;
};
std::vector<double> token_rewards(std::span<const double> log_probs, std::span<const double> reference,
                                  double score, bool ended, const RewardOptions& options);

/// Generalised advantage estimation (Schulman et al. 2016, eq. 16): A_t = δ_t + γλ A_{t+1}, δ_t = r_t + γ
/// V_{t+1} − V_t, V after the end 0; returns R = A + V.
struct Advantages {
  std::vector<double> advantages, returns;
};
Advantages generalised_advantages(std::span<const double> rewards, std::span<const double> values,
                                  double gamma, double lambda);

/// Shifts to mean 0 and scales to unbiased variance 1 in place (ε = 1e-8 below the root); fewer than two
/// values only lose their mean. With `keep_mean` the mean is put back.
void whiten(std::vector<double>& values, bool keep_mean = false);

/// max(−A·ratio, −A·clip(ratio, 1−ε, 1+ε)) of one token with its derivative by the new log-probability.
struct PolicyTerm {
  double loss = 0, d_log_prob = 0, ratio = 1;
  bool clipped = false;  ///< the clipped branch is strictly larger
};
PolicyTerm policy_term(double log_prob, double old_log_prob, double advantage, double clip);

/// ½ max((V−R)², (clip(V, V_old±ε)−R)²) of one token with its derivative by V.
struct ValueTerm {
  double loss = 0, d_value = 0;
  bool clipped = false;
};
ValueTerm value_term(double value, double old_value, double target, double clip);

/// Estimators of KL(π‖ref) from log-probabilities of sampled tokens (Schulman 2020): k1 = logp − ref, k2 =
/// k1²/2, k3 = exp(−k1) − 1 + k1.
double kl_k1(double log_prob, double reference);
double kl_k2(double log_prob, double reference);
double kl_k3(double log_prob, double reference);

/// The KL coefficient steered towards a target (Ziegler et al. 2019, eq. 7):
/// coefficient *= 1 + clip(KL/target − 1, ±0.2) · episodes/horizon.
class AdaptiveKl {
 public:
  /// target 0 keeps the coefficient.
  AdaptiveKl(double coefficient, double target, double horizon)
      : coefficient_(coefficient), target_(target), horizon_(horizon) {}
  double coefficient() const { return coefficient_; }
  void set_coefficient(double coefficient) { coefficient_ = coefficient; }
  void update(double kl, int64_t episodes);

 private:
  double coefficient_, target_, horizon_;
};

}  // namespace gristmill::align

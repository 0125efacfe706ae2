#pragma once

// Losses on pairs (chosen w, rejected l) of summed response log-probabilities under the policy (π) and a
// frozen reference, and on pairs of rewards. With Δw = π_w − ref_w, Δl = π_l − ref_l, h = Δw − Δl, σ the
// logistic function and ε the label smoothing:
//
//   sigmoid       −(1−ε) log σ(βh) − ε log σ(−βh)             DPO (Rafailov et al. 2023, eq. 7);
//                                                             ε > 0: cDPO (Mitchell 2023)
//   robust        (−(1−ε) log σ(βh) + ε log σ(−βh)) / (1−2ε)  Chowdhury et al. 2024
//   hinge         max(0, 1 − βh)                              SLiC (Zhao et al. 2023)
//   ipo           (h − 1/(2β))²                               IPO (Azar et al. 2023, eq. 17)
//   ipo-average   ipo with each Δ divided by its response's number of tokens
//   sigmoid-norm  −log σ(β(Δw/|w| − Δl/|l|))                  length-normalised DPO
//
// Bradley–Terry on rewards (Ouyang et al. 2022; centring: Eisenstein et al. 2023):
//
//   −log σ(r_w − r_l − margin) + c (r_w + r_l)²

#include <cstdint>

namespace gristmill::align {

enum class DpoLoss { sigmoid, robust, hinge, ipo, ipo_average, sigmoid_norm };

struct DpoLossOptions {
  DpoLoss loss = DpoLoss::sigmoid;
  double beta = 0.1;
  double label_smoothing = 0;  ///< ε: the share of labels taken to be wrong
};

/// Error{usage} if the numbers lie outside their ranges (robust needs 0 < ε < ½).
void validate(const DpoLossOptions& options);

/// Summed log-probabilities of a pair's responses, in nats, and their numbers of tokens.
struct PairLogProbs {
  double policy_chosen = 0, policy_rejected = 0;
  double reference_chosen = 0, reference_rejected = 0;
  int64_t length_chosen = 1, length_rejected = 1;

  double chosen_ratio() const { return policy_chosen - reference_chosen; }
  double rejected_ratio() const { return policy_rejected - reference_rejected; }
  double margin() const { return chosen_ratio() - rejected_ratio(); }
};

/// A pair's loss and its derivatives with respect to the policy's summed log-probabilities (or the rewards).
struct PairLoss {
  double loss = 0;
  double d_chosen = 0, d_rejected = 0;
};

PairLoss dpo_loss(const PairLogProbs& pair, const DpoLossOptions& options);

/// Bradley–Terry loss of two rewards.
PairLoss bradley_terry_loss(double chosen, double rejected, double margin, double centering);

/// log σ(x), accurate at both ends.
double log_sigmoid(double x);
double sigmoid(double x);

}  // namespace gristmill::align

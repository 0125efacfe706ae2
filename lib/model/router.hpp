#pragma once

// What keeps a mixture of experts busy: how evenly a batch's tokens fell on the experts, and the two losses
// of the router that training may add.
//
//   balance = E · Σ_e f_e·P_e        f_e = rows of expert e / (L·T), P_e = Σ_l Σ_t p / (L·T)
//   z       = Σ_l Σ_t lse² / (L·T)
//
// over the L layers and T tokens of one forward pass together. The first is Fedus et al. 2021, equation 4, in
// the form of transformers' load_balancing_loss_func: K where all is even. Counts have no slope, so that
// d balance / dp = E·f_e / (L·T), and every layer's gradient needs the counts of all. The second is Zoph et
// al. 2022, equation 5.

#include <cstdint>
#include <vector>

#include "model/config.hpp"
#include "model/experts.hpp"
#include "runtime/backend.hpp"
#include "runtime/device.hpp"

namespace gristmill::model {

/// The slope of the whole loss in each of the router's.
struct RouterLosses {
  double balance = 0, z = 0;
};

struct RouterFigures {
  double balance = 0, z = 0;
  std::vector<double> load;  ///< layers × experts: (token, choice) pairs
};

/// The counts of one forward pass, on the device until they are read.
struct RouterTally {
  explicit RouterTally(runtime::Device& device);

  /// Where layer `layer` counts.
  RouterCounts of(runtime::Device& device, const Config& config, int64_t layer);
  /// When all layers have counted `tokens` tokens.
  runtime::RouterGradients gradients(runtime::Device& device, const Config& config,
                                     const RouterLosses& losses, int64_t tokens);
  /// Waits for the device.
  RouterFigures read(runtime::Device& device, const Config& config, int64_t tokens);

  runtime::Scratch load, mass;   ///< L × E
  runtime::Scratch squared_lse;  ///< L × 1, f64
  runtime::Scratch sum;          ///< 1 × E: load of all layers
};

}  // namespace gristmill::model

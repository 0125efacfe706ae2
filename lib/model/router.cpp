#include "model/router.hpp"

namespace gristmill::model {

using runtime::View;

namespace {

/// Decisions of the router: each layer's for each token.
double decisions(const Config& config, int64_t tokens) {
  return static_cast<double>(config.layers) * static_cast<double>(tokens);
}

}  // namespace

RouterTally::RouterTally(runtime::Device& device)
    : load(device), mass(device), squared_lse(device), sum(device) {}

RouterCounts RouterTally::of(runtime::Device& device, const Config& config, int64_t layer) {
  const auto real = device.real();
  return {load.get(real, config.layers, config.experts).row_range(layer, 1),
          mass.get(real, config.layers, config.experts).row_range(layer, 1),
          squared_lse.get(runtime::DType::f64, config.layers, 1).row_range(layer, 1)};
}

runtime::RouterGradients RouterTally::gradients(runtime::Device& device, const Config& config,
                                                const RouterLosses& losses, int64_t tokens) {
  const double all = decisions(config, tokens);
  runtime::RouterGradients result;
  result.z = losses.z / all;
  if (losses.balance == 0) return result;
  const View total = sum.get(device.real(), 1, config.experts);
  device.backend().fill(total, 0);
  device.backend().sum_rows(total, load.get(device.real(), config.layers, config.experts));
  result.load = total;
  result.balance = losses.balance * static_cast<double>(config.experts) / (all * all);
  return result;
}

RouterFigures RouterTally::read(runtime::Device& device, const Config& config, int64_t tokens) {
  const auto real = device.real();
  const double all = decisions(config, tokens);
  RouterFigures figures;
  figures.load = runtime::read_real(device, load.get(real, config.layers, config.experts));
  const auto masses = runtime::read_real(device, mass.get(real, config.layers, config.experts));
  const auto experts = static_cast<size_t>(config.experts);
  for (size_t e = 0; e < experts; ++e) {
    double rows = 0, probability = 0;
    for (size_t i = e; i < masses.size(); i += experts) {
      rows += figures.load[i];
      probability += masses[i];
    }
    figures.balance += static_cast<double>(experts) * (rows / all) * (probability / all);
  }
  for (const double value :
       runtime::read_real(device, squared_lse.get(runtime::DType::f64, config.layers, 1)))
    figures.z += value / all;
  return figures;
}

}  // namespace gristmill::model

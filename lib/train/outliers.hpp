#pragma once

// Outlier steps: a value's z-score against those of the last 128 steps, as llm.c skips updates by loss and
// gradient norm. Data that are broken, or a spike of the loss, so never reach the weights.

#include <cstddef>
#include <vector>

#include "base/json.hpp"

namespace gristmill::train {

class OutlierWindow {
 public:
  static constexpr size_t kSize = 128;

  /// Standard deviations of `value` above the mean of the window, and 0 while the window is not full. The
  /// value enters the window whatever its score, so that a lasting change is soon no outlier any more.
  double score(double value);

  /// The window, oldest value first.
  Json to_json() const;
  /// Error{input} unless it is an array of at most kSize numbers.
  void load(const Json& json);

 private:
  std::vector<double> values_;  ///< oldest first, at most kSize
};

}  // namespace gristmill::train

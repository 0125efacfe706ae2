#pragma once

// AdamW over a parameter table: moments, the decay mask, clipping by the global norm, and state in
// optimizer.safetensors.

#include <cstdint>
#include <string>
#include <vector>

#include "model/parameters.hpp"
#include "runtime/backend.hpp"
#include "runtime/device.hpp"

namespace gristmill::train {

struct OptimizerOptions {
  double beta1 = 0.9, beta2 = 0.95, epsilon = 1e-8, weight_decay = 0.1;
  double clip_norm = 1.0;  ///< 0 = off
};

class Optimizer {
 public:
  /// Moments for the tensors of `table`; its `decay` says where weight decay applies.
  Optimizer(runtime::Device& device, const std::vector<model::ParameterInfo>& table,
            const OptimizerOptions& options);

  /// L2 norm of all gradients together; waits for the device.
  double gradient_norm(const model::ParameterSet& gradients);
  /// One update, number `step` (1 for the first), clipped to options.clip_norm given the norm.
  void update(model::ParameterSet& parameters, const model::ParameterSet& gradients, double norm,
              double learning_rate, int64_t step);

  /// Tensors "m.NAME" and "v.NAME", in the device's precision.
  void save(const std::string& path) const;
  /// Error{input} naming the tensor where one is absent, of a wrong shape or not finite.
  void load(const std::string& path);

 private:
  /// Neighbouring tensors with equal decay: one kernel for all.
  struct Range {
    int64_t offset, size;
    bool decay;
  };
  OptimizerOptions options_;
  model::ParameterSet m_, v_;
  runtime::Buffer sum_;
  std::vector<Range> ranges_;
};

}  // namespace gristmill::train

#pragma once

// The update of a parameter table: AdamW, or Muon for the matrices of the layers and AdamW for all else;
// moments, the decay mask, clipping by the global norm, and state in optimizer.safetensors.

#include <cstdint>
#include <string>
#include <vector>

#include "model/parameters.hpp"
#include "model/safetensors.hpp"
#include "runtime/backend.hpp"
#include "runtime/device.hpp"
#include "train/muon.hpp"
#include "train/ranks.hpp"

namespace gristmill::train {

enum class OptimizerKind { adamw, muon };

struct OptimizerOptions {
  OptimizerKind kind = OptimizerKind::adamw;
  double beta1 = 0.9, beta2 = 0.95, epsilon = 1e-8, weight_decay = 0.1;
  double momentum = 0.95;  ///< Muon's
  double clip_norm = 1.0;  ///< 0 = off
  uint64_t seed = 1;       ///< of the rounding of weights in bf16
};

/// The table of AdamW's second moments: `table` without Muon's tensors, laid out anew.
std::vector<model::ParameterInfo> second_moments(const std::vector<model::ParameterInfo>& table,
                                                 OptimizerKind kind);

/// Whether a tensor is updated as a whole, and so must belong to one rank: Muon's are.
bool is_whole(const model::ParameterInfo& info, OptimizerKind kind);

class Optimizer {
 public:
  /// Moments for the tensors of `table`; its `decay` says where weight decay applies. Of several `ranks`
  /// (null = one, else it must outlive this) each has the moments of its own range, and all call each method
  /// together.
  Optimizer(runtime::Device& device, const std::vector<model::ParameterInfo>& table,
            const OptimizerOptions& options, Ranks* ranks = nullptr);

  /// L2 norm of all gradients together, of several ranks of those that they summed; waits for the device.
  double gradient_norm(const model::ParameterSet& gradients);
  /// One update, number `step` (1 for the first), clipped to options.clip_norm given the norm. Of several
  /// ranks each takes what they summed in place of `gradients`, and has all parameters afterwards.
  void update(model::ParameterSet& parameters, const model::ParameterSet& gradients, double norm,
              double learning_rate, int64_t step);

  /// False when a parameter or a moment is infinite or no number: no checkpoint can be made of it.
  bool is_finite(const model::ParameterSet& parameters);

  /// Tensors "m.NAME" (momentum, for Muon's) and "v.NAME" (AdamW's only), in the device's precision: the same
  /// file for any number of ranks, written by the first.
  void save(const std::string& path) const;
  /// Error{input} naming the tensor where one is absent, of a wrong shape or not finite.
  void load(const std::string& path);

 private:
  /// Neighbouring tensors of AdamW's with equal decay and rate: one kernel for all.
  struct Range {
    int64_t first, offset, second_offset, size;  ///< in the model's arena, in m_'s and in v_'s
    bool decay;
    double rate_scale;  ///< ParameterInfo::learning_rate_scale
    bool joins(const Range& next) const;
  };
  size_t rank() const;
  void plan();
  /// The gradients of owned elements of the model's arena.
  runtime::View gradient(const model::ParameterSet& gradients, int64_t first, int64_t size) const;
  template <class Real>
  std::vector<Real> whole(const model::ParameterSet& set, const model::ParameterInfo& info) const;
  void save_set(model::SafetensorsWriter& writer, const model::ParameterSet& set, const char* prefix) const;
  void load_set(const model::SafetensorsReader& reader, model::ParameterSet& set, const std::string& prefix,
                const std::string& path);
  void update_adamw(model::ParameterSet& parameters, const model::ParameterSet& gradients,
                    runtime::AdamW args);

  OptimizerOptions options_;
  Ranks* ranks_;  ///< null with one rank
  std::vector<model::ParameterInfo> table_;
  Part part_;                      ///< what is owned of it
  model::ParameterSet m_, v_;      ///< of that
  runtime::Buffer sum_, squares_;  ///< squares_: of each block of the gradients, with one rank
  std::vector<Range> ranges_;
  Muon muon_;
  std::vector<size_t> hidden_;  ///< Muon's tensors, in part_
};

}  // namespace gristmill::train

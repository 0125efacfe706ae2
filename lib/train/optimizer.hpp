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

  /// L2 norm of all gradients together; waits for the device.
  double gradient_norm(const model::ParameterSet& gradients);
  /// One update, number `step` (1 for the first), clipped to options.clip_norm given the norm. All ranks have
  /// all parameters afterwards.
  void update(model::ParameterSet& parameters, const model::ParameterSet& gradients, double norm,
              double learning_rate, int64_t step);

  /// False when a moment is infinite or no number: no checkpoint can be made of it.
  bool is_finite();

  /// Tensors "m.NAME" (momentum, for Muon's) and "v.NAME" (AdamW's only), in the device's precision: the same
  /// file for any number of ranks, written by the first.
  void save(const std::string& path) const;
  /// Error{input} naming the tensor where one is absent, of a wrong shape or not finite.
  void load(const std::string& path);

 private:
  /// Neighbouring tensors of AdamW's with equal decay and rate: one kernel for all.
  struct Range {
    int64_t offset, second_offset, size;  ///< in m_'s table and in v_'s
    bool decay;
    double rate_scale;  ///< ParameterInfo::learning_rate_scale
  };
  size_t rank() const;
  void plan(const std::vector<model::ParameterInfo>& table);
  /// The own part of parameters or gradients that stands at `offset` of m_.
  runtime::View own(const model::ParameterSet& set, int64_t offset, int64_t size) const;
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
  runtime::Range own_;         ///< of the model's arena
  model::ParameterSet m_, v_;  ///< of the own range, whose begin is their offset 0
  runtime::Buffer sum_;
  std::vector<Range> ranges_;
  Muon muon_;
  std::vector<size_t> hidden_;  ///< Muon's tensors
};

}  // namespace gristmill::train

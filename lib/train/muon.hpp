#pragma once

// Muon (Jordan et al. 2024): momentum whose matrix is replaced by the nearest orthogonal one before it
// is applied, so that all directions of a weight move equally far. For the matrices of the layers;
// embeddings, head, norms and biases stay with AdamW.
//
//   M ← μ·M + G                 momentum
//   D = G + μ·M                 Nesterov
//   X = D / ‖D‖, five times X ← a·X + (b·A + c·A²)·X with A = X·Xᵀ     (3.4445, -4.7750, 2.0315)
//   W ← W - η·(0.2·√max(rows, cols)·X + λ·W)
//
// The factor 0.2·√max(rows, cols) (Liu et al. 2025, §2.2) gives the update the root mean square that AdamW's
// usually has, so that one learning rate and one weight decay serve both. The quintic iteration brings the
// singular values near 1 (0.7 to 1.2), not to it: its coefficients trade that for speed.

#include <cstdint>
#include <vector>

#include "model/parameters.hpp"
#include "runtime/arena.hpp"
#include "runtime/backend.hpp"
#include "runtime/device.hpp"

namespace gristmill::train {

/// Whether a tensor is a matrix inside a layer: what Muon trains.
bool is_hidden_matrix(const model::ParameterInfo& info);

struct MuonStep {
  double learning_rate = 0, momentum = 0.95, weight_decay = 0;
  double gradient_scale = 1;  ///< clipping: the gradient is multiplied by it
};

class Muon {
 public:
  explicit Muon(runtime::Device& device);
  /// Bytes that the updates of a table's hidden matrices take, one after another.
  static int64_t bytes(const std::vector<model::ParameterInfo>& table, runtime::DType real);
  /// Allocates them at once.
  void reserve(const std::vector<model::ParameterInfo>& table);

  /// One update of a weight; all three are rows × cols. Waits for the device.
  void update(runtime::View weight, runtime::View momentum, runtime::ConstView gradient,
              const MuonStep& step);
  /// The iteration: the nearly orthogonal matrix of x (which is overwritten), valid until the next call; 0
  /// stays 0.
  runtime::View orthogonalize(runtime::View x);

 private:
  static runtime::ArenaParts parts(Muon* place, const std::vector<model::ParameterInfo>& table,
                                   runtime::DType real);
  /// out = scale · in.
  void scaled(runtime::View out, double scale, runtime::ConstView in);
  double norm(runtime::ConstView x);

  runtime::Device* device_;
  runtime::Scratch direction_, next_, gram_, square_, polynomial_;
  runtime::Buffer sum_, arena_;
};

}  // namespace gristmill::train

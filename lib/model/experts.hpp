#pragma once

// The feed-forward half of a layer as a mixture of experts (Shazeer et al. 2017, in Mixtral's form: Jiang et
// al. 2024, §2.1): a router sends each token to the K likeliest of E SwiGLU networks, and the outputs are
// added with the router's weights. No expert has a capacity: no token is dropped, so that a token's result
// depends on nothing but itself, in training as in generation.
//
//   y = x + Σ_k w_k · W2_k·(silu(W1_k·n) ⊙ W3_k·n),   n = norm(x),   w = softmax over the chosen of gate·n

#include <cstdint>
#include <string>
#include <vector>

#include "model/config.hpp"
#include "model/linear.hpp"
#include "runtime/backend.hpp"
#include "runtime/device.hpp"

namespace gristmill::model {

/// What experts keep of one forward pass of T tokens; a row is one (token, choice), T·K in all, the rows of
/// an expert behind each other.
struct ExpertActivations {
  explicit ExpertActivations(runtime::Device& device);
  runtime::Scratch probabilities;            ///< T × E
  runtime::Scratch lse;                      ///< T × 1, of the router's logits
  runtime::Scratch chosen, weights, places;  ///< T × K
  runtime::Scratch offsets;                  ///< (E + 1) × 1
  runtime::Scratch tokens;                   ///< T·K × 1
  runtime::Scratch wide;                     ///< T·K × 2·hidden_dim: gate | up
  runtime::Scratch outputs;                  ///< T·K × dim
  runtime::Scratch activated;                ///< T·K × hidden_dim; only when nothing is to be computed anew
};

/// Memory that the experts of all layers share.
struct ExpertWorkspace {
  explicit ExpertWorkspace(runtime::Device& device);
  runtime::Scratch inputs;      ///< T·K × dim
  runtime::Scratch activated;   ///< as in ExpertActivations
  runtime::Scratch drows;       ///< T·K × dim
  runtime::Scratch dactivated;  ///< T·K × hidden_dim
  runtime::Scratch dwide;       ///< as wide
  runtime::Scratch dweights;    ///< T × K
  runtime::Scratch dlogits;     ///< T × E
};

/// Where the experts of a layer run, and what of it is counted.
struct ExpertRun {
  runtime::Device& device;
  Weights weights;
  ExpertActivations& kept;
  ExpertWorkspace& work;
  bool keep_all = false;
  int64_t tokens = 0;
};

/// What a layer's router did, for the losses that keep experts busy; absent = not wanted.
struct RouterCounts {
  runtime::View load, mass;   ///< 1 × E: rows of each expert, sum of its probabilities
  runtime::View squared_lse;  ///< 1 × 1, f64: sum over tokens
};

/// A map of each expert: pieces that lie in every expert's part of the arena at one distance.
class ExpertLinear {
 public:
  /// Weights prefix + "0." + name + ".weight" for each name, and the same of the other experts. Those of one
  /// expert that stand without a gap are one product.
  ExpertLinear(const ParameterSet& parameters, const std::string& prefix,
               const std::vector<std::string>& names, int64_t experts);
  /// out[R,out] = in[R,in] · Wᵀ, by the experts' rows.
  void forward(runtime::Backend& backend, const Weights& weights, runtime::View out, runtime::ConstView in,
               runtime::ConstView offsets) const;
  /// din is overwritten; each expert's gradient is finished and then added.
  void backward(runtime::Backend& backend, const Weights& weights, runtime::View din, runtime::ConstView dout,
                runtime::ConstView in, runtime::ConstView offsets) const;

 private:
  struct Piece {
    int64_t offset, rows, cols;  ///< of expert 0
    runtime::View view(const ParameterSet& set) const;
  };
  std::vector<Piece> pieces_;
  int64_t stride_ = 0;  ///< elements from expert to expert
};

class Experts {
 public:
  /// Weights prefix + "block_sparse_moe.…".
  Experts(const ParameterSet& parameters, const std::string& prefix, const Config& config);

  /// out[T,dim] = residual + the mixture of normed[T,dim]. Without `out` only what backward() needs is
  /// computed.
  void forward(const ExpertRun& run, runtime::View out, runtime::ConstView normed,
               runtime::ConstView residual, const RouterCounts& counts) const;
  /// dnormed[T,dim] (overwritten) from the output's gradient dout and the losses of the router.
  void backward(const ExpertRun& run, runtime::View dnormed, runtime::ConstView dout,
                runtime::ConstView normed, const runtime::RouterGradients& losses) const;

 private:
  runtime::Routing routing(const ExpertRun& run) const;
  runtime::View rows(const ExpertRun& run, runtime::Scratch& place, int64_t cols) const;
  runtime::View activated(const ExpertRun& run) const;
  runtime::View inputs(const ExpertRun& run, runtime::ConstView normed) const;

  int64_t dim_, hidden_dim_, experts_, chosen_;
  Linear gate_;
  ExpertLinear wide_, down_;
};

}  // namespace gristmill::model

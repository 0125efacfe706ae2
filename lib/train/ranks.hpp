#pragma once

// Training by several ranks (processes): data parallel with ZeRO stage 1 (Rajbhandari et al. 2020). Every
// rank has the whole model and gradients; the optimizer's state is cut by ranks, each of which updates its
// own range of the parameters.
//
// The micro-batches of a step are numbered in one global order and dealt out in rounds: rank r of N computes
// number k·N + r in round k. At the end of a round the owner of each range adds the gradients of the ranks to
// its sum, in the order of the numbers. So a gradient is ((m0 + m1) + m2) + … over the step's micro-batches
// for any N, bit for bit what one process computes that accumulates them one after another; the price is an
// exchange a round in place of one a step. It takes for granted that a micro-batch adds to each gradient once
// (the contract of Backend and of Transformer::backward). The norm is the sum over fixed blocks of the arena
// in their order, each computed by the rank that owns the block's first element.

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "model/parameters.hpp"
#include "runtime/arena_exchange.hpp"
#include "runtime/collective.hpp"
#include "runtime/device.hpp"

namespace gristmill::train {

/// The ranges of a table's arena (`total` elements) that the ranks own, in the order of ranks, together the
/// whole. Their sizes differ by less than a tensor of those that `is_whole` keeps in one piece, and by 64
/// elements at most where it keeps none.
std::vector<runtime::Range> partition(const std::vector<model::ParameterInfo>& table, int64_t total,
                                      int ranks,
                                      const std::function<bool(const model::ParameterInfo&)>& is_whole);

class Ranks {
 public:
  /// Both must outlive it; `owned` is a partition of the arena of the sets below. Where not said otherwise
  /// the ranks call a method together.
  Ranks(runtime::Collective& collective, runtime::Device& device, std::vector<runtime::Range> owned);

  int rank() const { return collective_->rank(); }
  int size() const { return collective_->size(); }
  /// True of the rank that writes, logs and reports for all.
  bool is_first() const { return rank() == 0; }
  runtime::Range own() const { return owned_[static_cast<size_t>(rank())]; }

  /// Ends a round in which the first `contributors` ranks computed a micro-batch each: takes up the gradients
  /// and clears them. Returns the contributors' `values`, which are equal in number, in order. With one rank
  /// the gradients stay where they are.
  std::vector<double> end_round(model::ParameterSet& gradients, int64_t contributors,
                                std::span<const double> values);
  /// The first `contributors` ranks' values, which are equal in number, in the order of ranks.
  std::vector<double> in_order(int64_t contributors, std::span<const double> values);
  /// After the last round: the sums are in `gradients`, for the own range and as far as norm() needs them.
  void end_step(model::ParameterSet& gradients);
  /// L2 norm of all of a set of which each rank has its own range and end_step()'s rest.
  double norm(const model::ParameterSet& set);
  /// Brings what each rank changed in its own range to all.
  void share(model::ParameterSet& parameters);

  /// Every rank's text, of 1 MiB at most, in the order of ranks.
  std::vector<std::string> texts(const std::string& mine);
  /// True if any rank says so.
  bool any(bool mine);
  /// Tensors cut by ranks, put together on rank 0 for a file: `mine` is the own part (absent = none), and
  /// `sizes` says how much each rank has.
  template <class Real>
  std::vector<Real> collect(runtime::ConstView mine, std::span<const int64_t> sizes);
  /// Elements of a tensor that each rank owns.
  std::vector<int64_t> sizes_of(const model::ParameterInfo& tensor) const;
  /// Waits until all ranks are here.
  void meet();

 private:
  runtime::Collective* collective_;
  runtime::Device* device_;
  std::unique_ptr<runtime::ArenaExchange> exchange_;
  std::vector<runtime::Range> owned_;   ///< by rank
  std::vector<runtime::Range> summed_;  ///< the same, and the rest of the last block of norm()
  runtime::Buffer sum_;                 ///< of the step's gradients in summed_; absent with one rank
  runtime::Buffer squares_;             ///< f64, one a block that begins in the own range
};

/// Computes micro-batches 0 … count - 1 in rounds of one a rank, and returns the sums of their values, which
/// are equal in number, added in their order. With `gradients` it ends the rounds and the step. Null `ranks`
/// are one.
std::vector<double> in_rounds(Ranks* ranks, int64_t count, model::ParameterSet* gradients,
                              const std::function<std::vector<double>(int64_t)>& compute);

/// Runs `body` on each rank. What one throws is said by one of them (by rank 0 where it fails too), and ends
/// them all; Stopped is said by rank 0, and they leave together. With one rank, exceptions simply pass.
void run_together(runtime::Collective& collective, const std::function<void()>& body);

}  // namespace gristmill::train

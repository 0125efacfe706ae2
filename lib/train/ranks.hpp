#pragma once

// Training by several ranks (processes): data parallel with ZeRO, stage 1 or 2 (Rajbhandari et al. 2020).
// Every rank has the whole model; the optimizer's state is cut by ranks, each of which updates its own part
// of the parameters. In stage 1 a rank has all gradients of its micro-batch; in stage 2 those of a layer or
// two at a time, and of what the ranks added its own part alone.
//
// Gradients are exchanged bucket by bucket, from the last to the first, each as soon as the backward pass is
// done with it: where the exchange has a way of its own it goes on beside the layers before.
//
// The micro-batches of a step are numbered in one global order and dealt out in rounds: rank r of N computes
// number k·N + r in round k. At the end of a round the owner of each range adds the gradients of the ranks to
// its sum, in the order of the numbers. So a gradient is ((m0 + m1) + m2) + … over the step's micro-batches
// for any N and stage, bit for bit what one process computes that accumulates them one after another; the
// price is an exchange a round in place of one a step. It takes for granted that a micro-batch adds to each
// gradient once (the contract of Backend and of Transformer::backward). Where an exchange in another order is
// cheaper that is what is done unless `deterministic_reduce` asks for this one: in stage 1 once a step, of
// what each rank accumulated, in stage 2 still once a round. Then N ranks are one only up to rounding.
//
// The norm is the sum over fixed blocks of the arena in their order, each computed by the rank that owns the
// block's first element.

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
#include "train/ownership.hpp"

namespace gristmill::train {

struct RanksOptions {
  int zero = 1;                       ///< stage of ZeRO, 1 or 2
  bool deterministic_reduce = false;  ///< gradients are added in order on devices where another is cheaper
};

class Ranks {
 public:
  /// Both must outlive it; `ownership` is a partition of the table of the sets below; null `exchange` = the
  /// device's. Where not said otherwise the ranks call a method together.
  Ranks(runtime::Collective& collective, runtime::Device& device, std::vector<Ownership> ownership,
        const RanksOptions& options = {}, std::unique_ptr<runtime::ArenaExchange> exchange = nullptr);

  int rank() const { return collective_->rank(); }
  int size() const { return collective_->size(); }
  /// True of the rank that writes, logs and reports for all.
  bool is_first() const { return rank() == 0; }
  /// Whether gradients are added in the order of the micro-batches.
  bool keeps_order() const { return keeps_order_; }
  /// What this rank owns of the arena, a range a bucket.
  std::vector<runtime::Range> own() const { return owned_by(ownership_, rank()); }
  /// How the model of this rank is to hold its gradients.
  model::Residence gradient_residence() const;

  // --- a step, in this order; with one rank the gradients stay where they are

  /// `gradients`, which are zero, must outlive the step.
  void begin_step(model::ParameterSet& gradients);
  /// The first `contributors` ranks compute a micro-batch each, in the step's last round perhaps not all.
  void begin_round(int64_t contributors, bool is_last);
  /// Within a round, by a rank that computes: it is done with a bucket's gradients. Buckets end in the order
  /// of Transformer::Finished.
  void finished(int64_t bucket);
  /// Takes up what is not finished yet. Returns the contributors' `values`, which are equal in number, in
  /// order.
  std::vector<double> end_round(std::span<const double> values);
  /// After the last round: the gradients are zero again, and summed() has the step's.
  void end_step();

  /// The step's gradients of elements that this rank owns, 1 × size.
  runtime::View summed(int64_t first, int64_t size) const;
  /// L2 norm of the step's gradients.
  double norm();
  /// Brings what each rank changed in its own part to all.
  void share(model::ParameterSet& parameters);

  /// The first `contributors` ranks' values, which are equal in number, in the order of ranks.
  std::vector<double> in_order(int64_t contributors, std::span<const double> values);
  /// Every rank's text, of 1 MiB at most, in the order of ranks.
  std::vector<std::string> texts(const std::string& mine);
  /// True if any rank says so.
  bool any(bool mine);
  /// A tensor that is cut by ranks, put together on rank 0 for a file: `mine` is the own part (absent =
  /// none).
  template <class Real>
  std::vector<Real> collect(runtime::ConstView mine, const model::ParameterInfo& tensor);
  /// Waits until all ranks are here.
  void meet();

 private:
  /// A bucket's ranges from its own begin, as they are exchanged, and where its sum stands in sum_.
  struct Bucket {
    std::vector<runtime::Range> owned, summed;  ///< by rank; summed: with the rest of norm()'s last block
    int64_t sum = 0;
  };
  size_t index_of(int64_t first) const;
  runtime::View values_of(const model::ParameterSet& set, size_t bucket) const;
  void exchange(size_t bucket);
  /// Of all ranks' blocks, rank behind rank.
  std::vector<double> squares_of_blocks();
  void clear(runtime::View gradients);
  bool takes_turns() const { return size() > 1 && options_.zero == 2; }

  runtime::Collective* collective_;
  runtime::Device* device_;
  RanksOptions options_;
  std::unique_ptr<runtime::ArenaExchange> exchange_;
  std::vector<Ownership> ownership_;
  std::vector<Bucket> buckets_;
  bool keeps_order_;
  runtime::Buffer sum_;      ///< of the step's gradients, bucket behind bucket; absent with one rank
  runtime::Buffer squares_;  ///< f64, one a block that begins in the own part

  model::ParameterSet* gradients_ = nullptr;  ///< within a step
  int64_t contributors_ = 0;                  ///< of the round
  bool exchanges_ = false;                    ///< in this round
  size_t left_ = 0;                           ///< buckets that are not exchanged yet in this round
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

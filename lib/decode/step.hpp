#pragma once

// One token more for each of several sequences. Such a step is some hundred small kernels that are the same
// from step to step: inputs are put at places that stay, and a device that can records the kernels and
// replays them (Device::record), which saves it from being told each by itself.

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "model/transformer.hpp"
#include "runtime/backend.hpp"
#include "runtime/device.hpp"

namespace gristmill::decode {

/// Model and cache must outlive it, and no weight may change meanwhile.
class Step {
 public:
  Step(model::Transformer& model, model::KvCache& cache, const runtime::Sampling& sampling);

  struct Drawn {
    std::vector<int32_t> ids;
    std::vector<double> log_probs;
  };
  /// Feeds a row of each sequence and draws what follows; a uniform number a row. The first step of so many
  /// rows is done as it is, which makes its working memory; the next is recorded.
  Drawn run(const model::CachedRows& rows, const std::vector<double>& uniforms);

 private:
  void replay_or_work(int64_t rows, const std::function<void()>& work);

  model::Transformer& model_;
  model::KvCache& cache_;
  const runtime::Sampling sampling_;
  runtime::Scratch logits_, uniforms_, ids_, log_probs_;
  int64_t rows_ = 0;  ///< of the step before, and of the recording if there is one
  std::unique_ptr<runtime::Recording> recording_;
};

}  // namespace gristmill::decode

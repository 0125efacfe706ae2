#include "decode/step.hpp"

namespace gristmill::decode {

using runtime::DType;
using runtime::View;

Step::Step(model::Transformer& model, model::KvCache& cache, const runtime::Sampling& sampling)
    : model_(model),
      cache_(cache),
      sampling_(sampling),
      logits_(model.device()),
      uniforms_(model.device()),
      ids_(model.device()),
      log_probs_(model.device()) {}

Step::Drawn Step::run(const model::CachedRows& rows, const std::vector<double>& uniforms) {
  auto& device = model_.device();
  const auto count = static_cast<int64_t>(rows.ids.size());
  const View logits = logits_.get(device.real(), count, model_.config().vocab_size),
             random = uniforms_.get(device.real(), count, 1), ids = ids_.get(DType::i32, count, 1),
             log_probs = log_probs_.get(device.real(), count, 1);
  model_.place_cached(cache_, rows);
  runtime::write_real(device, random, uniforms);
  replay_or_work(count, [&] {
    model_.logits(logits, model_.run_cached(cache_));
    device.backend().sample(ids, log_probs, logits, random, sampling_);
  });
  return {runtime::read_ints(device, ids), runtime::read_real(device, log_probs)};
}

void Step::replay_or_work(int64_t rows, const std::function<void()>& work) {
  const bool again = rows == rows_;
  rows_ = rows;
  if (!again || (recording_ != nullptr && !recording_->is_current())) recording_ = nullptr;
  if (again && recording_ == nullptr) recording_ = model_.device().record(work);
  recording_ != nullptr ? recording_->replay() : work();
}

}  // namespace gristmill::decode

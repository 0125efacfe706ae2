#include "align/sft.hpp"

#include "align/tuning_memory.hpp"

namespace gristmill::align {

namespace {

std::vector<int64_t> lengths(const std::vector<Sequence>& examples, const std::vector<size_t>& items) {
  std::vector<int64_t> sizes;
  for (const size_t item : items) sizes.push_back(static_cast<int64_t>(examples[item].ids.size()));
  return sizes;
}

}  // namespace

SftObjective::SftObjective(model::Transformer& model, std::vector<Sequence> examples,
                           std::vector<Sequence> validation, const SftOptions& options)
    : model_(&model),
      examples_(std::move(examples)),
      validation_(std::move(validation)),
      options_(options),
      sampler_(examples_.size(), options.batch_size, options.epochs, options.seed),
      pass_(model),
      flops_(model.config()) {}

void SftObjective::reserve() {
  const auto extent = tuning_extent(examples_, validation_, options_);
  model_->reserve(extent);
  pass_.reserve(pass_rows(extent));
}

void SftObjective::accumulate(int64_t step, train::StepMetrics& metrics) {
  const auto items = sampler_.items(step);
  int64_t targets = 0;
  for (const size_t item : items) targets += examples_[item].targets();
  const double weight = 1 / static_cast<double>(targets);
  double sum = 0;
  for (const auto& [first, last] : split_by_size(lengths(examples_, items), options_.micro_batch_tokens)) {
    ResponseBatch batch;
    for (size_t i = first; i < last; ++i) batch.add(examples_[items[i]]);
    const std::vector<double> gradient(batch.rows.size(), -weight);
    for (const double log_prob : pass_.log_probs_and_backward(batch, gradient)) sum -= log_prob;
    metrics.tokens += batch.tokens.tokens();
    metrics.flops += 3 * flops_(batch.tokens, static_cast<int64_t>(batch.rows.size()));
  }
  metrics.loss = sum * weight;
}

std::map<std::string, double> SftObjective::validate() {
  if (validation_.empty()) return {};
  std::vector<int64_t> sizes;
  for (const auto& example : validation_) sizes.push_back(static_cast<int64_t>(example.ids.size()));
  double sum = 0;
  int64_t targets = 0;
  for (const auto& [first, last] : split_by_size(sizes, options_.micro_batch_tokens)) {
    ResponseBatch batch;
    for (size_t i = first; i < last; ++i) batch.add(validation_[i]);
    for (const double log_prob : pass_.log_probs(batch)) sum -= log_prob;
    targets += static_cast<int64_t>(batch.rows.size());
  }
  return {{"val_loss", sum / static_cast<double>(targets)}};
}

}  // namespace gristmill::align

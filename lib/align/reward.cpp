#include "align/reward.hpp"

#include "align/tuning_memory.hpp"

namespace gristmill::align {

/// What a set of pairs adds up to.
struct RewardObjective::Sums {
  double loss = 0, chosen = 0, rejected = 0, flops = 0;
  int64_t pairs = 0, right = 0, tokens = 0;
};

RewardObjective::RewardObjective(model::Transformer& model, std::vector<PairExample> examples,
                                 std::vector<PairExample> validation, const RewardTrainOptions& options)
    : model_(&model),
      examples_(std::move(examples)),
      validation_(std::move(validation)),
      options_(options),
      sampler_(examples_.size(), options.batch_size, options.epochs, options.seed),
      pass_(model),
      flops_(model.config()) {}

void RewardObjective::reserve() {
  const auto extent = tuning_extent(examples_, validation_, options_);
  model_->reserve(extent);
  pass_.reserve(pass_rows(extent));
}

void RewardObjective::run_pairs(const std::vector<const PairExample*>& pairs, double weight, bool learn,
                                Sums& sums) {
  std::vector<int64_t> sizes;
  for (const auto* pair : pairs) sizes.push_back(pair->tokens());
  for (const auto& [first, last] : split_by_size(sizes, options_.micro_batch_tokens)) {
    ResponseBatch batch;
    for (size_t i = first; i < last; ++i) {
      batch.add(pairs[i]->chosen);
      batch.add(pairs[i]->rejected);
    }
    const auto rewards = pass_.values(batch.tokens, batch.last_rows, learn);
    std::vector<double> gradient(rewards.size());
    for (size_t i = first; i < last; ++i) {
      const double chosen = rewards[2 * (i - first)], rejected = rewards[2 * (i - first) + 1];
      const auto loss = bradley_terry_loss(chosen, rejected, pairs[i]->margin, options_.centering);
      gradient[2 * (i - first)] = weight * loss.d_chosen;
      gradient[2 * (i - first) + 1] = weight * loss.d_rejected;
      sums.loss += loss.loss;
      sums.chosen += chosen;
      sums.rejected += rejected;
      sums.right += chosen > rejected ? 1 : 0;
      ++sums.pairs;
    }
    sums.tokens += batch.tokens.tokens();
    if (!learn) continue;
    sums.flops += 3 * flops_(batch.tokens, 0);
    pass_.backward(gradient);
  }
}

void RewardObjective::accumulate(int64_t step, train::StepMetrics& metrics) {
  std::vector<const PairExample*> pairs;
  for (const size_t item : sampler_.items(step)) pairs.push_back(&examples_[item]);
  const double weight = 1 / static_cast<double>(pairs.size());
  Sums sums;
  run_pairs(pairs, weight, true, sums);
  metrics.loss = sums.loss * weight;
  metrics.tokens = sums.tokens;
  metrics.flops = sums.flops;
  metrics.values["rewards/chosen"] = sums.chosen * weight;
  metrics.values["rewards/rejected"] = sums.rejected * weight;
  metrics.values["rewards/margins"] = (sums.chosen - sums.rejected) * weight;
  metrics.values["rewards/accuracies"] = static_cast<double>(sums.right) * weight;
}

std::map<std::string, double> RewardObjective::validate() {
  if (validation_.empty()) return {};
  std::vector<const PairExample*> pairs;
  for (const auto& pair : validation_) pairs.push_back(&pair);
  Sums sums;
  run_pairs(pairs, 0, false, sums);
  const auto count = static_cast<double>(sums.pairs);
  return {{"val_loss", sums.loss / count}, {"val_accuracy", static_cast<double>(sums.right) / count}};
}

}  // namespace gristmill::align

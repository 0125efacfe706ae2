#include "align/dpo.hpp"

#include "align/tuning_memory.hpp"
#include "base/error.hpp"

namespace gristmill::align {

namespace {

/// Sums of a batch's log-probabilities by sequence.
std::vector<double> sums_by_sequence(const ResponseBatch& batch, const std::vector<double>& log_probs) {
  std::vector<double> sums(batch.sequences());
  for (size_t s = 0; s < sums.size(); ++s) {
    for (size_t i = batch.starts[s]; i < batch.starts[s + 1]; ++i) sums[s] += log_probs[i];
  }
  return sums;
}

template <class GetPair>
std::vector<int64_t> pair_sizes(size_t count, const GetPair& pair) {
  std::vector<int64_t> sizes(count);
  for (size_t i = 0; i < count; ++i) sizes[i] = pair(i).tokens();
  return sizes;
}

}  // namespace

std::vector<PairReference> reference_log_probs(model::Transformer& reference,
                                               const std::vector<PairExample>& pairs,
                                               int64_t micro_batch_tokens) {
  LanguagePass pass(reference);
  std::vector<PairReference> out;
  const auto sizes = pair_sizes(pairs.size(), [&](size_t i) -> const PairExample& { return pairs[i]; });
  for (const auto& [first, last] : split_by_size(sizes, micro_batch_tokens)) {
    ResponseBatch batch;
    for (size_t i = first; i < last; ++i) {
      batch.add(pairs[i].chosen);
      batch.add(pairs[i].rejected);
    }
    const auto sums = sums_by_sequence(batch, pass.log_probs(batch));
    for (size_t s = 0; s < sums.size(); s += 2) out.push_back({sums[s], sums[s + 1]});
  }
  return out;
}

/// What a set of pairs adds up to.
struct DpoObjective::Sums {
  double loss = 0, flops = 0, reward_chosen = 0, reward_rejected = 0, log_prob_chosen = 0,
         log_prob_rejected = 0;
  int64_t pairs = 0, right = 0, tokens = 0, length_chosen = 0, length_rejected = 0;

  void add(const PairLogProbs& pair, double pair_loss, double beta) {
    loss += pair_loss;
    reward_chosen += beta * pair.chosen_ratio();
    reward_rejected += beta * pair.rejected_ratio();
    log_prob_chosen += pair.policy_chosen;
    log_prob_rejected += pair.policy_rejected;
    length_chosen += pair.length_chosen;
    length_rejected += pair.length_rejected;
    right += pair.margin() > 0 ? 1 : 0;
    ++pairs;
  }
};

DpoObjective::DpoObjective(model::Transformer& model, std::vector<PairExample> examples,
                           std::vector<PairReference> references, std::vector<PairExample> validation,
                           std::vector<PairReference> validation_references, const DpoOptions& options)
    : model_(&model),
      examples_(std::move(examples)),
      references_(std::move(references)),
      validation_(std::move(validation)),
      validation_references_(std::move(validation_references)),
      options_(options),
      sampler_(examples_.size(), options.batch_size, options.epochs, options.seed),
      pass_(model),
      flops_(model.config()) {
  align::validate(options.loss);
  if (references_.size() != examples_.size() || validation_references_.size() != validation_.size()) {
    fail(Kind::internal, "DPO needs one reference a pair");
  }
}

void DpoObjective::reserve() {
  const auto extent = tuning_extent(examples_, validation_, options_);
  model_->reserve(extent);
  pass_.reserve(pass_rows(extent));
}

void DpoObjective::run_pairs(const std::vector<Item>& items, double weight, bool learn, Sums& sums) {
  const auto sizes = pair_sizes(items.size(), [&](size_t i) -> const PairExample& { return *items[i].pair; });
  for (const auto& [first, last] : split_by_size(sizes, options_.micro_batch_tokens)) {
    ResponseBatch batch;
    for (size_t i = first; i < last; ++i) {
      batch.add(items[i].pair->chosen);
      batch.add(items[i].pair->rejected);
    }
    const auto policy = sums_by_sequence(batch, pass_.log_probs(batch, 1, learn));
    std::vector<double> gradient(batch.rows.size());
    for (size_t i = first; i < last; ++i) {
      const size_t s = 2 * (i - first);
      const PairLogProbs pair{policy[s],
                              policy[s + 1],
                              items[i].reference->chosen,
                              items[i].reference->rejected,
                              items[i].pair->chosen.targets(),
                              items[i].pair->rejected.targets()};
      const auto loss = dpo_loss(pair, options_.loss);
      for (size_t t = batch.starts[s]; t < batch.starts[s + 1]; ++t) gradient[t] = weight * loss.d_chosen;
      for (size_t t = batch.starts[s + 1]; t < batch.starts[s + 2]; ++t)
        gradient[t] = weight * loss.d_rejected;
      sums.add(pair, loss.loss, options_.loss.beta);
    }
    sums.tokens += batch.tokens.tokens();
    if (!learn) continue;
    sums.flops += 3 * flops_(batch.tokens, static_cast<int64_t>(batch.rows.size()));
    pass_.backward(gradient);
  }
}

void DpoObjective::accumulate(int64_t step, train::StepMetrics& metrics) {
  std::vector<Item> items;
  for (const size_t item : sampler_.items(step)) items.push_back({&examples_[item], &references_[item]});
  const double weight = 1 / static_cast<double>(items.size());
  Sums sums;
  run_pairs(items, weight, true, sums);
  metrics.loss = sums.loss * weight;
  metrics.tokens = sums.tokens;
  metrics.flops = sums.flops;
  auto& values = metrics.values;
  values["rewards/chosen"] = sums.reward_chosen * weight;
  values["rewards/rejected"] = sums.reward_rejected * weight;
  values["rewards/margins"] = (sums.reward_chosen - sums.reward_rejected) * weight;
  values["rewards/accuracies"] = static_cast<double>(sums.right) * weight;
  values["logps/chosen"] = sums.log_prob_chosen * weight;
  values["logps/rejected"] = sums.log_prob_rejected * weight;
  values["len/chosen"] = static_cast<double>(sums.length_chosen) * weight;
  values["len/rejected"] = static_cast<double>(sums.length_rejected) * weight;
}

std::map<std::string, double> DpoObjective::validate() {
  if (validation_.empty()) return {};
  std::vector<Item> items;
  for (size_t i = 0; i < validation_.size(); ++i)
    items.push_back({&validation_[i], &validation_references_[i]});
  Sums sums;
  run_pairs(items, 0, false, sums);
  const auto count = static_cast<double>(sums.pairs);
  return {{"val_loss", sums.loss / count}, {"val_accuracy", static_cast<double>(sums.right) / count}};
}

}  // namespace gristmill::align

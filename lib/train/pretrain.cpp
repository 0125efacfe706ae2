#include "train/pretrain.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "base/error.hpp"
#include "base/rng.hpp"

namespace gristmill::train {

using runtime::DType;

WindowSet::WindowSet(const shard::TokenSet& tokens, int64_t context, bool keep_rest)
    : tokens_(tokens), context_(context) {
  const auto targets = static_cast<int64_t>(tokens.ids.size()) - 1;
  if (targets < 1)
    fail(Kind::input, "the token shards hold fewer than two tokens: there is nothing to predict");
  count_ = std::max<int64_t>(1, keep_rest ? (targets + context - 1) / context : targets / context);
}

int64_t WindowSet::window_tokens(int64_t index) const {
  return std::min(context_, static_cast<int64_t>(tokens_.ids.size()) - 1 - index * context_);
}

void WindowSet::append(int64_t index, model::Batch& batch, std::vector<int32_t>& targets) const {
  const auto begin = static_cast<uint64_t>(index * context_),
             end = begin + static_cast<uint64_t>(window_tokens(index));
  const auto& starts = tokens_.document_starts;
  auto next = std::upper_bound(starts.begin(), starts.end(), begin);
  for (uint64_t at = begin; at < end;) {
    const uint64_t stop = next == starts.end() ? end : std::min(*next, end);
    batch.add(std::span(tokens_.ids).subspan(at, stop - at));
    at = stop;
    if (next != starts.end()) ++next;
  }
  for (uint64_t at = begin; at < end; ++at) targets.push_back(static_cast<int32_t>(tokens_.ids[at + 1]));
}

std::vector<int64_t> window_order(int64_t count, uint64_t seed, int64_t epoch) {
  std::vector<int64_t> order(static_cast<size_t>(count));
  std::iota(order.begin(), order.end(), int64_t{0});
  Rng rng(seed, stream_of(RandomStream::shuffle, static_cast<uint64_t>(epoch)));
  for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[rng.below(i)]);
  return order;
}

namespace {

void check_vocabulary(const shard::TokenSet& tokens, const model::Config& config) {
  if (tokens.info.vocab_size <= static_cast<uint64_t>(config.vocab_size)) return;
  fail(Kind::input, "the token shards have a vocabulary of ", tokens.info.vocab_size, ", the model one of ",
       config.vocab_size);
}

}  // namespace

PretrainObjective::PretrainObjective(model::Transformer& model, shard::TokenSet tokens,
                                     std::optional<shard::TokenSet> held_out, const PretrainOptions& options)
    : model_(model),
      options_(options),
      tokens_(std::move(tokens)),
      held_out_(std::move(held_out)),
      windows_(tokens_, model.config().context, false),
      targets_(model.device()),
      upstream_(model.device()),
      log_probs_(model.device()),
      dhidden_(model.device()) {
  if (options.tokens < 0) fail(Kind::usage, "--tokens is below 0");
  if (options.batch_tokens < 1) fail(Kind::usage, "--batch-tokens is below 1");
  if (options.micro_batch_tokens < 1) fail(Kind::usage, "--micro-batch-tokens is below 1");
  check_vocabulary(tokens_, model.config());
  if (!held_out_) return;
  check_vocabulary(*held_out_, model.config());
  if (held_out_->ids.size() < 2) fail(Kind::input, "the held-out data hold fewer than two tokens");
}

int64_t PretrainObjective::windows_per_step() const {
  return std::max<int64_t>(1, options_.batch_tokens / windows_.window_tokens(0));
}

int64_t PretrainObjective::windows_per_micro_batch() const {
  return std::max<int64_t>(1, options_.micro_batch_tokens / windows_.window_tokens(0));
}

int64_t PretrainObjective::total_steps() const {
  const int64_t step_tokens = windows_per_step() * windows_.window_tokens(0);
  if (options_.tokens == 0) return std::max<int64_t>(1, windows_.size() / windows_per_step());
  return (options_.tokens - 1) / step_tokens + 1;
}

int64_t PretrainObjective::window_at(int64_t position) {
  const int64_t epoch = position / windows_.size();
  if (epoch != epoch_) {
    order_ = window_order(windows_.size(), options_.seed, epoch);
    epoch_ = epoch;
  }
  return order_[static_cast<size_t>(position % windows_.size())];
}

double PretrainObjective::sum_of(runtime::ConstView log_probs) {
  double sum = 0;
  for (const double value : runtime::read_real(model_.device(), log_probs)) sum += value;
  return sum;
}

double PretrainObjective::train_micro_batch(const model::Batch& batch, std::span<const int32_t> targets,
                                            int64_t step_tokens) {
  auto& device = model_.device();
  const auto real = device.real();
  const int64_t rows = batch.tokens();
  const auto hidden = model_.forward(batch);
  const auto target = targets_.get(DType::i32, rows, 1);
  runtime::write_ints(device, target, targets);
  const auto upstream = upstream_.get(real, rows, 1);
  device.backend().fill(upstream, -1 / static_cast<double>(step_tokens));
  runtime::HeadValues values;
  values.log_prob = log_probs_.get(real, rows, 1);
  runtime::HeadGradients gradients;
  gradients.log_prob = upstream;
  const auto dhidden = dhidden_.get(real, rows, model_.config().dim);
  model_.head_backward(dhidden, values, hidden, target, gradients);
  model_.backward(dhidden);
  return sum_of(values.log_prob);
}

double PretrainObjective::score_micro_batch(const model::Batch& batch, std::span<const int32_t> targets) {
  auto& device = model_.device();
  const int64_t rows = batch.tokens();
  const auto hidden = model_.forward(batch, false);
  const auto target = targets_.get(DType::i32, rows, 1);
  runtime::write_ints(device, target, targets);
  runtime::HeadValues values;
  values.log_prob = log_probs_.get(device.real(), rows, 1);
  model_.head(values, hidden, target);
  return sum_of(values.log_prob);
}

void PretrainObjective::accumulate(int64_t step, StepMetrics& metrics) {
  const int64_t count = windows_per_step(), group = windows_per_micro_batch();
  const int64_t step_tokens = count * windows_.window_tokens(0);
  double log_likelihood = 0;
  for (int64_t first = 0; first < count; first += group) {
    model::Batch batch;
    std::vector<int32_t> targets;
    for (int64_t i = first; i < std::min(count, first + group); ++i) {
      windows_.append(window_at(step * count + i), batch, targets);
    }
    log_likelihood += train_micro_batch(batch, targets, step_tokens);
  }
  metrics.loss = -log_likelihood / static_cast<double>(step_tokens);
  metrics.tokens = step_tokens;
}

std::map<std::string, double> PretrainObjective::validate() {
  if (!held_out_) return {};
  const WindowSet windows(*held_out_, model_.config().context, true);
  double log_likelihood = 0;
  for (int64_t first = 0; first < windows.size(); first += windows_per_micro_batch()) {
    model::Batch batch;
    std::vector<int32_t> targets;
    for (int64_t i = first; i < std::min(windows.size(), first + windows_per_micro_batch()); ++i) {
      windows.append(i, batch, targets);
    }
    log_likelihood += score_micro_batch(batch, targets);
  }
  const double loss = -log_likelihood / static_cast<double>(held_out_->ids.size() - 1);
  return {{"val_loss", loss}, {"val_perplexity", std::exp(loss)}};
}

Json PretrainObjective::save_state() const {
  Json state = Json::object();
  state["data"] = tokens_.digest;
  return state;
}

void PretrainObjective::load_state(const Json& state) {
  const Json* data = state.find("data");
  if (data != nullptr && data->is_string() && data->as_string() == tokens_.digest) return;
  fail(Kind::usage,
       "the checkpoint was made from other token shards; resume with the same ones in the same order");
}

}  // namespace gristmill::train

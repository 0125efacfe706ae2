#include "train/pretrain.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "base/error.hpp"
#include "base/rng.hpp"
#include "train/expert_metrics.hpp"

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

void check(const PretrainOptions& options) {
  const auto within = [](const char* name, double value, double low, double high) {
    if (!(value >= low && value <= high))
      fail(Kind::usage, name, " must lie between ", low, " and ", high, ", not ", value);
  };
  if (options.tokens < 0) fail(Kind::usage, "--tokens is below 0");
  constexpr int64_t kMostTokens = int64_t{1} << 30;  // a step's list of windows is held in memory
  if (options.batch_tokens < 1 || options.batch_tokens > kMostTokens)
    fail(Kind::usage, "--batch-tokens must lie between 1 and ", kMostTokens, ", not ", options.batch_tokens);
  if (options.micro_batch_tokens < 1) fail(Kind::usage, "--micro-batch-tokens is below 1");
  within("the first batch of --batch-ramp", options.ramp_start, 0, 1);
  within("the share of --batch-ramp", options.ramp_share, 0, 1);
  within("--anneal-share", options.anneal_share, 0, 1);
  within("--anneal-weight", options.anneal_weight, 0, 1);
  if (!(options.z_loss >= 0)) fail(Kind::usage, "--z-loss must not be below 0 (0 = off)");
  if (!(options.router_z_loss >= 0)) fail(Kind::usage, "--router-z-loss must not be below 0 (0 = off)");
}

}  // namespace

WindowStream::WindowStream(shard::TokenSet tokens, int64_t context, uint64_t seed)
    : tokens_(std::move(tokens)), windows_(tokens_, context, false), seed_(seed) {}

int64_t WindowStream::at(int64_t position) {
  const int64_t epoch = position / windows_.size();
  if (epoch != epoch_) {
    order_ = window_order(windows_.size(), seed_, epoch);
    epoch_ = epoch;
  }
  return order_[static_cast<size_t>(position % windows_.size())];
}

PretrainObjective::PretrainObjective(model::Transformer& model, shard::TokenSet tokens,
                                     std::optional<shard::TokenSet> held_out, const PretrainOptions& options,
                                     std::optional<shard::TokenSet> anneal, Ranks* ranks)
    : model_(model),
      ranks_(ranks),
      options_(options),
      held_out_(std::move(held_out)),
      main_(std::move(tokens), model.config().context, options.seed),
      targets_(model.device()),
      upstream_(model.device()),
      log_probs_(model.device()),
      lse_(model.device()),
      dlse_(model.device()),
      dhidden_(model.device()),
      sum_(model.device(), DType::f64, 1, 1) {
  check(options);
  check_vocabulary(main_.tokens(), model.config());
  if (ranks_ != nullptr && ranks_->gradient_residence() != model::Residence::whole)
    model_.set_gradient_residence(ranks_->gradient_residence());
  if (options.router_z_loss > 0 && model.config().experts == 0)
    fail(Kind::usage, "--router-z-loss is of no use to a model without experts");
  if (anneal) {
    check_vocabulary(*anneal, model.config());
    anneal_ = std::make_unique<WindowStream>(std::move(*anneal), model.config().context, options.seed);
  }
  plan_ = std::make_unique<StepPlan>(plan_options());
  if (!held_out_) return;
  check_vocabulary(*held_out_, model.config());
  if (held_out_->ids.size() < 2) fail(Kind::input, "the held-out data hold fewer than two tokens");
}

model::PassExtent pretrain_extent(const PretrainOptions& options, int64_t context, int64_t ids,
                                  int64_t anneal_ids, int64_t held_out_ids) {
  const auto window = [&](int64_t of) { return std::clamp<int64_t>(of - 1, 1, context); };
  const auto windows_in = [&](int64_t tokens) { return std::max<int64_t>(1, tokens / window(ids)); };
  const int64_t group = windows_in(options.micro_batch_tokens),
                whole = std::min(group, windows_in(options.batch_tokens));
  model::PassExtent extent;
  extent.kept = whole * std::max(window(ids), anneal_ids > 0 ? window(anneal_ids) : 0);
  if (held_out_ids > 0) extent.passing = std::min(group * window(held_out_ids), held_out_ids - 1);
  return extent;
}

runtime::ArenaParts PretrainObjective::parts(PretrainObjective* place, const model::Config& config,
                                             const model::PassExtent& extent, DType real,
                                             const PretrainOptions& options) {
  const int64_t tokens = std::max(extent.kept, extent.passing);
  runtime::ArenaParts parts;
  parts.add(place, &PretrainObjective::targets_, DType::i32, tokens);
  parts.add(place, &PretrainObjective::log_probs_, real, tokens);
  parts.add(place, &PretrainObjective::upstream_, real, extent.kept);
  parts.add(place, &PretrainObjective::dhidden_, real, extent.kept * config.dim);
  if (options.z_loss <= 0) return parts;
  parts.add(place, &PretrainObjective::lse_, real, extent.kept);
  parts.add(place, &PretrainObjective::dlse_, real, extent.kept);
  return parts;
}

int64_t PretrainObjective::bytes(const model::Config& config, const model::PassExtent& extent, DType real,
                                 const PretrainOptions& options) {
  return parts(nullptr, config, extent, real, options).bytes();
}

void PretrainObjective::reserve() {
  const auto size = [](const shard::TokenSet& tokens) { return static_cast<int64_t>(tokens.ids.size()); };
  const auto extent =
      pretrain_extent(options_, model_.config().context, size(main_.tokens()),
                      anneal_ ? size(anneal_->tokens()) : 0, held_out_ ? size(*held_out_) : 0);
  model_.reserve(extent);
  arena_ = parts(this, model_.config(), extent, model_.device().real(), options_).allocate(model_.device());
}

int64_t PretrainObjective::windows_in(int64_t tokens) const {
  return std::max<int64_t>(1, tokens / main_.windows().window_tokens(0));
}

StepPlanOptions PretrainObjective::plan_options() const {
  StepPlanOptions plan;
  plan.round_up = options_.tokens > 0;
  plan.budget =
      plan.round_up ? (options_.tokens - 1) / main_.windows().window_tokens(0) + 1 : main_.windows().size();
  plan.batch = windows_in(options_.batch_tokens);
  plan.micro_batch = windows_in(options_.micro_batch_tokens);
  plan.ramp_start = options_.ramp_start;
  plan.ramp_share = options_.ramp_share;
  if (anneal_) plan.anneal_share = options_.anneal_share;
  plan.anneal_weight = options_.anneal_weight;
  return plan;
}

double PretrainObjective::sum_of(runtime::ConstView log_probs) {
  double sum = 0;
  for (const double value : runtime::read_real(model_.device(), log_probs)) sum += value;
  return sum;
}

double PretrainObjective::sum_of_squares(runtime::ConstView values) {
  model_.device().backend().sum_of_squares(sum_.view(), values);
  return runtime::read_real(model_.device(), sum_.view()).front();
}

std::vector<double> PretrainObjective::train_micro_batch(const model::Batch& batch,
                                                         std::span<const int32_t> targets,
                                                         int64_t step_tokens) {
  auto& device = model_.device();
  auto& backend = device.backend();
  const auto real = device.real();
  const int64_t rows = batch.tokens();
  const auto hidden = model_.forward(batch);
  const auto target = targets_.get(DType::i32, rows, 1);
  runtime::write_ints(device, target, targets);
  const auto upstream = upstream_.get(real, rows, 1);
  backend.fill(upstream, -1 / static_cast<double>(step_tokens));
  runtime::HeadGradients gradients;
  gradients.log_prob = upstream;
  runtime::HeadValues values;
  values.log_prob = log_probs_.get(real, rows, 1);
  double squared_lse = 0;
  if (options_.z_loss > 0) {
    runtime::HeadValues before;
    before.lse = lse_.get(real, rows, 1);
    model_.head(before, hidden, target);
    const auto dlse = dlse_.get(real, rows, 1);
    backend.fill(dlse, 0);
    backend.axpy(dlse, 2 * options_.z_loss / static_cast<double>(step_tokens), before.lse);
    gradients.lse = dlse;
    squared_lse = sum_of_squares(before.lse);
  }
  const auto dhidden = dhidden_.get(real, rows, model_.config().dim);
  model_.head_backward(dhidden, values, hidden, target, gradients);
  const double share = static_cast<double>(rows) / static_cast<double>(step_tokens);
  model::Transformer::Finished finished;
  if (ranks_ != nullptr) finished = [this](int64_t bucket) { ranks_->finished(bucket); };
  model_.backward(dhidden, {share * model_.config().router_balance, share * options_.router_z_loss},
                  finished);
  std::vector<double> sums = {sum_of(values.log_prob), squared_lse};
  if (model_.config().experts == 0) return sums;
  const auto experts = expert_sums(model_.router_figures(), rows);
  sums.insert(sums.end(), experts.begin(), experts.end());
  return sums;
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

std::vector<PretrainObjective::Chosen> PretrainObjective::choose(int64_t step) {
  std::vector<Chosen> chosen;
  for (int64_t i = 0; i < plan_->windows(step); ++i) {
    const auto place = plan_->place(step, i);
    WindowStream& stream = place.anneal ? *anneal_ : main_;
    chosen.push_back({&stream.windows(), stream.at(place.position)});
  }
  return chosen;
}

void PretrainObjective::accumulate(int64_t step, StepMetrics& metrics) {
  const auto chosen = choose(step);
  const auto group = static_cast<size_t>(windows_in(options_.micro_batch_tokens));
  int64_t step_tokens = 0;
  for (const auto& [windows, index] : chosen) step_tokens += windows->window_tokens(index);
  const auto count = static_cast<int64_t>((chosen.size() + group - 1) / group);
  const auto sums = in_rounds(ranks_, count, &model_.gradients(), [&](int64_t number) {
    const size_t first = static_cast<size_t>(number) * group;
    model::Batch batch;
    std::vector<int32_t> targets;
    for (size_t i = first; i < std::min(chosen.size(), first + group); ++i) {
      chosen[i].windows->append(chosen[i].index, batch, targets);
    }
    return train_micro_batch(batch, targets, step_tokens);
  });
  const auto tokens = static_cast<double>(step_tokens);
  metrics.loss = -sums.at(0) / tokens;
  metrics.tokens = step_tokens;
  metrics.flops = tokens * model_.config().flops_per_token();
  if (model_.config().experts > 0)
    put_expert_metrics(std::span(sums).subspan(2), model_.config(), step_tokens, options_.router_z_loss,
                       metrics);
  if (options_.z_loss > 0) metrics.values["z_loss"] = options_.z_loss * sums.at(1) / tokens;
}

std::map<std::string, double> PretrainObjective::validate() {
  if (!held_out_) return {};
  const WindowSet windows(*held_out_, model_.config().context, true);
  const int64_t group = windows_in(options_.micro_batch_tokens);
  const auto sums = in_rounds(ranks_, (windows.size() + group - 1) / group, nullptr, [&](int64_t number) {
    model::Batch batch;
    std::vector<int32_t> targets;
    for (int64_t i = number * group; i < std::min(windows.size(), (number + 1) * group); ++i) {
      windows.append(i, batch, targets);
    }
    return std::vector<double>{score_micro_batch(batch, targets)};
  });
  const double loss = -sums.at(0) / static_cast<double>(held_out_->ids.size() - 1);
  return {{"val_loss", loss}, {"val_perplexity", std::exp(loss)}};
}

Json PretrainObjective::save_state() const {
  Json state = Json::object();
  state["data"] = main_.tokens().digest;
  if (anneal_) state["anneal_data"] = anneal_->tokens().digest;
  return state;
}

Json PretrainObjective::shared_facts() const {
  Json facts = save_state();
  if (held_out_) facts["held_out_data"] = held_out_->digest;
  return facts;
}

void PretrainObjective::load_state(const Json& state) {
  if (state == save_state()) return;
  fail(Kind::usage,
       "the checkpoint was made from other token shards; resume with the same ones in the same order");
}

}  // namespace gristmill::train

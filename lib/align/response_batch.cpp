#include "align/response_batch.hpp"

#include <algorithm>
#include <functional>
#include <numeric>

#include "base/error.hpp"

namespace gristmill::align {

namespace {

runtime::View upload_ints(runtime::Device& device, runtime::Scratch& scratch,
                          const std::vector<int32_t>& values) {
  const auto view = scratch.get(runtime::DType::i32, static_cast<int64_t>(values.size()), 1);
  runtime::write_ints(device, view, values);
  return view;
}

runtime::View upload_reals(runtime::Device& device, runtime::Scratch& scratch,
                           std::span<const double> values) {
  const auto view = scratch.get(device.real(), static_cast<int64_t>(values.size()), 1);
  runtime::write_real(device, view, values);
  return view;
}

/// Spreads gradients of selected rows over all hidden rows (zero elsewhere) and goes back through the model.
void backward_rows(model::Transformer& model, runtime::Scratch& scratch, int64_t tokens,
                   runtime::ConstView d_rows, runtime::ConstView rows) {
  auto& device = model.device();
  const auto d_hidden = scratch.get(device.real(), tokens, d_rows.cols);
  device.backend().fill(d_hidden, 0);
  device.backend().scatter_rows(d_hidden, d_rows, rows);
  model.backward(d_hidden);
}

}  // namespace

int64_t Sequence::targets() const {
  int64_t count = 0;
  for (const uint8_t bit : mask) count += bit;
  return count;
}

void ResponseBatch::add(const Sequence& sequence) {
  if (sequence.ids.size() != sequence.mask.size() || sequence.ids.empty() || sequence.mask[0] != 0) {
    fail(Kind::internal, "a sequence needs a mask of its length that does not learn the first id");
  }
  const auto base = static_cast<int32_t>(tokens.tokens());
  if (starts.empty()) starts.push_back(0);
  int32_t last = -1;
  for (size_t t = 1; t < sequence.ids.size(); ++t) {
    if (sequence.mask[t] == 0) continue;
    rows.push_back(base + static_cast<int32_t>(t) - 1);
    targets.push_back(static_cast<int32_t>(sequence.ids[t]));
    last = base + static_cast<int32_t>(t);
  }
  if (last < 0) fail(Kind::internal, "a sequence without a target cannot be learned");
  last_rows.push_back(last);
  starts.push_back(rows.size());
  tokens.add(sequence.ids);
}

std::vector<std::pair<size_t, size_t>> split_by_size(std::span<const int64_t> sizes, int64_t limit) {
  std::vector<std::pair<size_t, size_t>> parts;
  size_t first = 0;
  int64_t sum = 0;
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (i > first && sum + sizes[i] > limit) {
      parts.emplace_back(first, i);
      first = i;
      sum = 0;
    }
    sum += sizes[i];
  }
  if (first < sizes.size()) parts.emplace_back(first, sizes.size());
  return parts;
}

int64_t most_tokens(std::vector<int64_t> sizes, int64_t batch, int64_t limit) {
  if (sizes.empty()) return 0;
  std::sort(sizes.begin(), sizes.end(), std::greater<>());
  const int64_t longest = sizes.front();
  sizes.resize(std::min(sizes.size(), static_cast<size_t>(batch)));
  const int64_t sum = std::accumulate(sizes.begin(), sizes.end(), int64_t{0});
  return std::max(longest, std::min(limit, sum));
}

LanguagePass::LanguagePass(model::Transformer& model)
    : model_(&model),
      rows_(model.device()),
      targets_(model.device()),
      hidden_(model.device()),
      values_(model.device()),
      d_values_(model.device()),
      d_rows_(model.device()),
      d_hidden_(model.device()) {}

runtime::ArenaParts LanguagePass::parts(LanguagePass* place, const model::Config& config,
                                        const PassRows& most, runtime::DType real) {
  runtime::ArenaParts parts;
  for (const auto member : {&LanguagePass::rows_, &LanguagePass::targets_})
    parts.add(place, member, runtime::DType::i32, most.rows);
  parts.add(place, &LanguagePass::hidden_, real, most.rows * config.dim);
  parts.add(place, &LanguagePass::values_, real, 3 * most.rows);
  if (!most.learns) return parts;
  parts.add(place, &LanguagePass::d_values_, real, most.rows);
  parts.add(place, &LanguagePass::d_rows_, real, most.rows * config.dim);
  parts.add(place, &LanguagePass::d_hidden_, real, most.tokens * config.dim);
  return parts;
}

int64_t LanguagePass::bytes(const model::Config& config, const PassRows& most, runtime::DType real) {
  return parts(nullptr, config, most, real).bytes();
}

void LanguagePass::reserve(const PassRows& most) {
  auto& device = model_->device();
  arena_ = parts(this, model_->config(), most, device.real()).allocate(device);
}

void LanguagePass::gather(const ResponseBatch& batch, bool keep) {
  auto& device = model_->device();
  tokens_ = batch.tokens.tokens();
  count_ = static_cast<int64_t>(batch.rows.size());
  const auto hidden = model_->forward(batch.tokens, keep);
  row_view_ = upload_ints(device, rows_, batch.rows);
  target_view_ = upload_ints(device, targets_, batch.targets);
  hidden_view_ = hidden_.get(device.real(), count_, hidden.cols);
  device.backend().gather_rows(hidden_view_, hidden, row_view_);
}

std::vector<double> LanguagePass::log_probs(const ResponseBatch& batch, double logit_scale, bool keep) {
  auto& device = model_->device();
  gather(batch, keep);
  logit_scale_ = logit_scale;
  // Three columns' worth of memory: log-probabilities, logsumexps, entropies.
  const auto values = values_.get(device.real(), 3, count_);
  const auto column = [&](int64_t i) { return runtime::View(values.row_range(i, 1).reshaped(count_, 1)); };
  model_->head({column(0), column(1), column(2)}, hidden_view_, target_view_, logit_scale);
  return runtime::read_real(device, column(0));
}

std::vector<double> LanguagePass::entropies() {
  const auto values = values_.get(model_->device().real(), 3, count_);
  return runtime::read_real(model_->device(), values.row_range(2, 1));
}

void LanguagePass::backward(std::span<const double> d_log_prob) {
  auto& device = model_->device();
  const auto d_rows = d_rows_.get(device.real(), count_, hidden_view_.cols);
  const auto d_values = upload_reals(device, d_values_, d_log_prob);
  model_->head_backward(d_rows, {}, hidden_view_, target_view_, {d_values, {}, {}}, logit_scale_);
  backward_rows(*model_, d_hidden_, tokens_, d_rows, row_view_);
}

std::vector<double> LanguagePass::log_probs_and_backward(const ResponseBatch& batch,
                                                         std::span<const double> d_log_prob) {
  auto& device = model_->device();
  gather(batch, true);
  const auto log_prob = values_.get(device.real(), count_, 1);
  const auto d_rows = d_rows_.get(device.real(), count_, hidden_view_.cols);
  const auto d_values = upload_reals(device, d_values_, d_log_prob);
  model_->head_backward(d_rows, {log_prob, {}, {}}, hidden_view_, target_view_, {d_values, {}, {}});
  backward_rows(*model_, d_hidden_, tokens_, d_rows, row_view_);
  return runtime::read_real(device, log_prob);
}

ScalarPass::ScalarPass(model::Transformer& model)
    : model_(&model),
      rows_(model.device()),
      hidden_(model.device()),
      values_(model.device()),
      d_values_(model.device()),
      d_rows_(model.device()),
      d_hidden_(model.device()) {}

runtime::ArenaParts ScalarPass::parts(ScalarPass* place, const model::Config& config, const PassRows& most,
                                      runtime::DType real) {
  runtime::ArenaParts parts;
  parts.add(place, &ScalarPass::rows_, runtime::DType::i32, most.rows);
  parts.add(place, &ScalarPass::hidden_, real, most.rows * config.dim);
  parts.add(place, &ScalarPass::values_, real, most.rows);
  if (!most.learns) return parts;
  parts.add(place, &ScalarPass::d_values_, real, most.rows);
  parts.add(place, &ScalarPass::d_rows_, real, most.rows * config.dim);
  parts.add(place, &ScalarPass::d_hidden_, real, most.tokens * config.dim);
  return parts;
}

int64_t ScalarPass::bytes(const model::Config& config, const PassRows& most, runtime::DType real) {
  return parts(nullptr, config, most, real).bytes();
}

void ScalarPass::reserve(const PassRows& most) {
  auto& device = model_->device();
  arena_ = parts(this, model_->config(), most, device.real()).allocate(device);
}

std::vector<double> ScalarPass::values(const model::Batch& tokens, const std::vector<int32_t>& rows,
                                       bool keep) {
  auto& device = model_->device();
  tokens_ = tokens.tokens();
  const auto count = static_cast<int64_t>(rows.size());
  const auto hidden = model_->forward(tokens, keep);
  row_view_ = upload_ints(device, rows_, rows);
  hidden_view_ = hidden_.get(device.real(), count, hidden.cols);
  device.backend().gather_rows(hidden_view_, hidden, row_view_);
  const auto values = values_.get(device.real(), count, 1);
  model_->scalar_head(values, hidden_view_);
  return runtime::read_real(device, values);
}

void ScalarPass::backward(std::span<const double> d_value) {
  auto& device = model_->device();
  const auto d_rows = d_rows_.get(device.real(), hidden_view_.rows, hidden_view_.cols);
  const auto d_values = upload_reals(device, d_values_, d_value);
  model_->scalar_head_backward(d_rows, d_values, hidden_view_);
  backward_rows(*model_, d_hidden_, tokens_, d_rows, row_view_);
}

}  // namespace gristmill::align

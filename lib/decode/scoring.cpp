#include "decode/scoring.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace gristmill::decode {

namespace {

void check(const model::Config& config, const ScoreRequest& request, size_t number) {
  const auto length = static_cast<int64_t>(request.ids.size());
  if (length == 0 || request.first_scored < 1) {
    fail(Kind::input, "sequence ", number + 1, " cannot be scored: its first id is given, never scored");
  }
  // The last id is only a target, so a sequence may be one longer than what the model reads.
  if (length - 1 > config.context) {
    fail(Kind::input, "sequence ", number + 1, " has ", length, " tokens, more than the model's context of ",
         config.context);
  }
  for (const uint32_t id : request.ids) {
    if (static_cast<int64_t>(id) >= config.vocab_size) {
      fail(Kind::input, "sequence ", number + 1, ": id ", id, " is outside the vocabulary of ",
           config.vocab_size);
    }
  }
}

/// The requests [first, last) packed behind each other, and which of the rows predict a scored target.
struct Packed {
  model::Batch batch;
  std::vector<int32_t> rows, targets;
};

Packed pack(const std::vector<ScoreRequest>& requests, const std::vector<size_t>& members) {
  Packed packed;
  for (const size_t member : members) {
    const auto& request = requests[member];
    const auto base = static_cast<int32_t>(packed.batch.tokens());
    packed.batch.add(std::span(request.ids).first(request.ids.size() - 1));
    for (size_t t = request.first_scored; t < request.ids.size(); ++t) {
      packed.rows.push_back(base + static_cast<int32_t>(t) - 1);
      packed.targets.push_back(static_cast<int32_t>(request.ids[t]));
    }
  }
  return packed;
}

/// Log-probabilities of one batch's targets, in order.
std::vector<double> run(model::Transformer& model, const Packed& packed, double logit_scale) {
  auto& device = model.device();
  const auto count = static_cast<int64_t>(packed.rows.size());
  const auto hidden = model.forward(packed.batch, false);
  const runtime::Buffer rows(device, runtime::DType::i32, count, 1),
      targets(device, runtime::DType::i32, count, 1);
  const runtime::Buffer wanted(device, device.real(), count, model.config().dim);
  const runtime::Buffer log_probs(device, device.real(), count, 1);
  runtime::write_ints(device, rows.view(), packed.rows);
  runtime::write_ints(device, targets.view(), packed.targets);
  device.backend().gather_rows(wanted.view(), hidden, rows.view());
  runtime::HeadValues values;
  values.log_prob = log_probs.view();
  model.head(values, wanted.view(), targets.view(), logit_scale);
  return runtime::read_real(device, log_probs.view());
}

}  // namespace

std::vector<std::vector<double>> score(model::Transformer& model, const std::vector<ScoreRequest>& requests,
                                       int64_t batch_tokens, double logit_scale) {
  if (model.config().head != model::Head::language)
    fail(Kind::usage, "a reward model has no token probabilities");
  std::vector<std::vector<double>> scores(requests.size());
  std::vector<size_t> members;
  int64_t tokens = 0;
  const auto flush = [&] {
    if (members.empty()) return;
    const auto values = run(model, pack(requests, members), logit_scale);
    size_t at = 0;
    for (const size_t member : members) {
      const size_t count = requests[member].ids.size() - requests[member].first_scored;
      scores[member].assign(values.begin() + static_cast<std::ptrdiff_t>(at),
                            values.begin() + static_cast<std::ptrdiff_t>(at + count));
      at += count;
    }
    members.clear();
    tokens = 0;
  };
  for (size_t i = 0; i < requests.size(); ++i) {
    check(model.config(), requests[i], i);
    if (requests[i].ids.size() <= requests[i].first_scored) continue;  // nothing to score
    const auto length = static_cast<int64_t>(requests[i].ids.size()) - 1;
    if (tokens + length > batch_tokens) flush();
    members.push_back(i);
    tokens += length;
  }
  flush();
  return scores;
}

}  // namespace gristmill::decode

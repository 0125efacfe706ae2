#include "decode/reward.hpp"

#include <cmath>
#include <span>

#include "base/error.hpp"

namespace gristmill::decode {

namespace {

/// Values at the last row of each document of one batch.
std::vector<double> run(model::Transformer& model, const model::Batch& batch) {
  auto& device = model.device();
  const auto documents = static_cast<int64_t>(batch.document_starts.size()) - 1;
  std::vector<int32_t> last;
  for (size_t d = 1; d < batch.document_starts.size(); ++d) last.push_back(batch.document_starts[d] - 1);
  const auto hidden = model.forward(batch, false);
  const runtime::Buffer rows(device, runtime::DType::i32, documents, 1);
  const runtime::Buffer wanted(device, device.real(), documents, model.config().dim);
  const runtime::Buffer values(device, device.real(), documents, 1);
  runtime::write_ints(device, rows.view(), last);
  device.backend().gather_rows(wanted.view(), hidden, rows.view());
  model.scalar_head(values.view(), wanted.view());
  return runtime::read_real(device, values.view());
}

}  // namespace

std::vector<uint32_t> reward_ids(const tokenizer::ChatTemplate& chat,
                                 const std::vector<shard::Message>& messages) {
  auto ids = chat.render(messages).ids;
  while (!ids.empty() && ids.back() != chat.end_of_turn()) ids.pop_back();
  return ids;
}

std::vector<double> reward_of(model::Transformer& reward_model, const std::vector<std::vector<uint32_t>>& ids,
                              int64_t batch_tokens) {
  const auto& config = reward_model.config();
  if (config.head != model::Head::scalar) {
    fail(Kind::usage, "rewards need a model with a scalar head: name a directory that reward-train made");
  }
  std::vector<double> rewards;
  model::Batch batch;
  const auto flush = [&] {
    if (batch.tokens() == 0) return;
    const auto values = run(reward_model, batch);
    rewards.insert(rewards.end(), values.begin(), values.end());
    batch = {};
  };
  for (size_t i = 0; i < ids.size(); ++i) {
    const auto length = static_cast<int64_t>(ids[i].size());
    if (length == 0)
      fail(Kind::input, "conversation ", i + 1, " is empty: it has no last token to read a reward at");
    if (length > config.context) {
      fail(Kind::input, "conversation ", i + 1, " has ", length,
           " tokens, more than the reward model's context of ", config.context);
    }
    for (const uint32_t id : ids[i]) {
      if (static_cast<int64_t>(id) >= config.vocab_size) {
        fail(Kind::input, "conversation ", i + 1, ": id ", id,
             " is outside the reward model's vocabulary of ", config.vocab_size);
      }
    }
    if (batch.tokens() + length > batch_tokens) flush();
    batch.add(ids[i]);
  }
  flush();
  for (size_t i = 0; i < rewards.size(); ++i) {
    if (!std::isfinite(rewards[i]))
      fail(Kind::input, "the reward of conversation ", i + 1, " is no number: the model is damaged");
  }
  return rewards;
}

std::vector<double> score_conversations(model::Transformer& reward_model,
                                        const tokenizer::Tokenizer& tokenizer,
                                        const std::vector<std::vector<shard::Message>>& conversations,
                                        uint64_t* truncated, int64_t batch_tokens) {
  const tokenizer::ChatTemplate chat(tokenizer);
  const auto context = static_cast<size_t>(reward_model.config().context);
  std::vector<std::vector<uint32_t>> sequences;
  for (const auto& conversation : conversations) {
    auto ids = reward_ids(chat, conversation);
    if (ids.size() > context) {
      ids.erase(ids.begin(), ids.end() - static_cast<std::ptrdiff_t>(context));
      if (truncated != nullptr) ++*truncated;
    }
    sequences.push_back(std::move(ids));
  }
  return reward_of(reward_model, sequences, batch_tokens);
}

}  // namespace gristmill::decode

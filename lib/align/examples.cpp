#include "align/examples.hpp"

#include <algorithm>
#include <functional>
#include <numeric>

#include "base/error.hpp"
#include "base/hash.hpp"
#include "base/rng.hpp"
#include "shard/reader.hpp"

namespace gristmill::align {

namespace {

/// Calls `take` on every record; what it returns is the reason for leaving the record out, or "".
void for_each_record(const std::vector<std::string>& files, Stats& stats,
                     const std::function<std::string(std::string_view, const std::string&)>& take) {
  shard::Reader reader(files);
  std::string_view record;
  while (reader.next(record)) {
    ++stats.records_in;
    std::string reason;
    try {
      reason = take(record, reader.where());
    } catch (const Error&) {
      reason = "bad_record";
    }
    if (reason.empty()) {
      ++stats.records_out;
    } else {
      stats.drop(reason);
    }
  }
  stats.bytes_in = reader.bytes_read();
  if (stats.records_out > 0) return;
  std::string reasons;
  for (const auto& [reason, count] : stats.dropped)
    reasons += str(reasons.empty() ? "" : ", ", count, " ", reason);
  fail(Kind::input, join(files, ", "), ": no usable record", reasons.empty() ? "" : " (", reasons,
       reasons.empty() ? "" : ")", "; see docs/formats.md for the accepted forms");
}

bool fits(const Sequence& sequence, int64_t max_tokens) {
  return static_cast<int64_t>(sequence.ids.size()) <= max_tokens;
}

Sequence as_sequence(tokenizer::Rendered rendered) {
  return {std::move(rendered.ids), std::move(rendered.mask)};
}

std::vector<shard::Message> prompt_messages(std::string_view record, const std::string& where) {
  const Json json = Json::parse(record, where);
  if (const Json* prompt = json.find("prompt")) {
    if (prompt->is_string()) return {{"user", prompt->as_string()}};
    return shard::messages_from_json(*prompt, where);
  }
  auto messages = shard::Conversation::parse(record, where).messages;
  while (!messages.empty() && messages.back().role == "assistant") messages.pop_back();
  return messages;
}

template <class Value>
void hash_values(Xxh64Stream& hash, const std::vector<Value>& values) {
  const uint64_t size = values.size();
  hash.update(&size, sizeof size);
  hash.update(values.data(), size * sizeof(Value));
}

void hash_sequence(Xxh64Stream& hash, const Sequence& sequence) {
  hash_values(hash, sequence.ids);
  hash_values(hash, sequence.mask);
}

}  // namespace

std::vector<Sequence> load_conversations(const std::vector<std::string>& files,
                                         const tokenizer::ChatTemplate& chat, int64_t max_tokens,
                                         Stats& stats) {
  std::vector<Sequence> out;
  for_each_record(files, stats, [&](std::string_view record, const std::string& where) -> std::string {
    const auto conversation = shard::Conversation::parse(record, where);
    auto sequence = as_sequence(chat.render(conversation.messages));
    if (sequence.targets() == 0) return "no_response";
    if (!fits(sequence, max_tokens)) return "too_long";
    out.push_back(std::move(sequence));
    return "";
  });
  return out;
}

std::vector<PairExample> load_preferences(const std::vector<std::string>& files,
                                          const tokenizer::ChatTemplate& chat, int64_t max_tokens,
                                          Stats& stats) {
  std::vector<PairExample> out;
  for_each_record(files, stats, [&](std::string_view record, const std::string& where) -> std::string {
    const auto preference = shard::Preference::parse(record, where);
    PairExample pair{as_sequence(chat.render(preference.prompt, preference.chosen)),
                     as_sequence(chat.render(preference.prompt, preference.rejected)), preference.margin};
    if (pair.chosen.targets() == 0 || pair.rejected.targets() == 0) return "no_response";
    if (!fits(pair.chosen, max_tokens) || !fits(pair.rejected, max_tokens)) return "too_long";
    out.push_back(std::move(pair));
    return "";
  });
  return out;
}

std::vector<PromptExample> load_prompts(const std::vector<std::string>& files,
                                        const tokenizer::ChatTemplate& chat, int64_t max_tokens,
                                        Stats& stats) {
  std::vector<PromptExample> out;
  for_each_record(files, stats, [&](std::string_view record, const std::string& where) -> std::string {
    auto messages = prompt_messages(record, where);
    if (messages.empty()) return "no_prompt";
    auto ids = chat.prompt(messages);
    if (static_cast<int64_t>(ids.size()) > max_tokens) return "too_long";
    out.push_back({std::move(ids), std::move(messages)});
    return "";
  });
  return out;
}

std::string digest(const std::vector<Sequence>& examples) {
  Xxh64Stream hash;
  for (const auto& example : examples) hash_sequence(hash, example);
  return str(hash.digest());
}

std::string digest(const std::vector<PairExample>& examples) {
  Xxh64Stream hash;
  for (const auto& example : examples) {
    hash_sequence(hash, example.chosen);
    hash_sequence(hash, example.rejected);
    hash.update(&example.margin, sizeof example.margin);
  }
  return str(hash.digest());
}

std::string digest(const std::vector<PromptExample>& examples) {
  Xxh64Stream hash;
  for (const auto& example : examples) hash_values(hash, example.ids);
  return str(hash.digest());
}

EpochSampler::EpochSampler(size_t items, int64_t batch, int64_t epochs, uint64_t seed)
    : count_(items), batch_(batch), epochs_(epochs), seed_(seed) {
  constexpr int64_t kMost = int64_t{1} << 30;  // products with the number of items stay within 63 bits
  if (batch < 1 || epochs < 1) fail(Kind::usage, "--batch-size and --epochs must be at least 1");
  if (batch > kMost || epochs > kMost)
    fail(Kind::usage, "--batch-size and --epochs must not be above ", kMost);
  if (items == 0) fail(Kind::input, "no examples to train on");
  steps_per_epoch_ = (static_cast<int64_t>(items) + batch - 1) / batch;
}

void EpochSampler::permute(int64_t epoch) {
  if (epoch == permuted_epoch_) return;
  permutation_.resize(count_);
  std::iota(permutation_.begin(), permutation_.end(), size_t{0});
  Rng rng(seed_, stream_of(RandomStream::shuffle, static_cast<uint64_t>(epoch)));
  for (size_t i = count_; i > 1; --i) std::swap(permutation_[i - 1], permutation_[rng.below(i)]);
  permuted_epoch_ = epoch;
}

std::vector<size_t> EpochSampler::items(int64_t step) {
  permute(step / steps_per_epoch_);
  const auto first = static_cast<size_t>((step % steps_per_epoch_) * batch_);
  const auto last = std::min(count_, first + static_cast<size_t>(batch_));
  return {permutation_.begin() + static_cast<std::ptrdiff_t>(first),
          permutation_.begin() + static_cast<std::ptrdiff_t>(last)};
}

std::vector<size_t> EpochSampler::whole_batch(int64_t step) {
  std::vector<size_t> batch;
  const auto count = static_cast<int64_t>(count_);
  for (int64_t position = step * batch_; position < (step + 1) * batch_; ++position) {
    permute(position / count);
    batch.push_back(permutation_[static_cast<size_t>(position % count)]);
  }
  return batch;
}

}  // namespace gristmill::align

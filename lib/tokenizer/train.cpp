#include "tokenizer/train.hpp"

#include <algorithm>
#include <memory>
#include <mutex>
#include <set>
#include <string_view>
#include <utility>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/parallel.hpp"
#include "base/progress.hpp"
#include "base/str.hpp"
#include "shard/record.hpp"
#include "text/utf8.hpp"
#include "tokenizer/bpe_trainer.hpp"
#include "tokenizer/piece_counts.hpp"
#include "tokenizer/pretokenizer.hpp"
#include "tokenizer/vocabulary.hpp"

namespace gristmill::tokenizer {
namespace {

constexpr size_t kBatchBytes = size_t{1} << 20;

using Batch = std::vector<std::string>;
/// The text of one item, or nothing if it is a bad record.
using TextOf = std::function<std::optional<std::string>(std::string&&)>;

void count_pieces(std::string_view text, const TrainOptions& options, PieceCounts& counts) {
  for (size_t at = 0; at < text.size();) {
    const size_t end = next_piece(text, at);
    for (; end - at > options.max_piece_bytes; at += options.max_piece_bytes) {
      counts.add(text.substr(at, options.max_piece_bytes));
    }
    if (end - at > 1) counts.add(text.substr(at, end - at));  // a single byte holds no pair
    at = end;
  }
}

void count_lines(std::string_view text, const TrainOptions& options, PieceCounts& counts) {
  if (!options.split_lines) return count_pieces(text, options, counts);
  while (!text.empty()) {
    const size_t newline = text.find('\n');
    const size_t length = newline == std::string_view::npos ? text.size() : newline + 1;
    count_pieces(text.substr(0, length), options, counts);
    text.remove_prefix(length);
  }
}

// Counts what stands between special tokens; of two that match at one place the longer wins. The next place
// of each is remembered, so that a text full of one of them is not searched again and again for the others.
void count_text(std::string_view text, const TrainOptions& options, PieceCounts& counts) {
  std::vector<size_t> next;
  for (const std::string& special : options.special_tokens) next.push_back(text.find(special));
  size_t from = 0;
  for (;;) {
    size_t at = std::string_view::npos, length = 0;
    for (size_t i = 0; i < next.size(); ++i) {
      const std::string& special = options.special_tokens[i];
      if (next[i] < from) next[i] = text.find(special, from);
      if (next[i] < at || (next[i] == at && at != std::string_view::npos && special.size() > length)) {
        at = next[i];
        length = special.size();
      }
    }
    if (at == std::string_view::npos) break;
    count_lines(text.substr(from, at - from), options, counts);
    from = at + length;
  }
  count_lines(text.substr(from), options, counts);
}

/// One set of counts for every thread at work; their sum does not depend on who counted what.
class CountPool {
 public:
  std::unique_ptr<PieceCounts> take() {
    const std::scoped_lock lock(mutex_);
    if (idle_.empty()) return std::make_unique<PieceCounts>();
    auto counts = std::move(idle_.back());
    idle_.pop_back();
    return counts;
  }
  void give_back(std::unique_ptr<PieceCounts> counts) {
    const std::scoped_lock lock(mutex_);
    idle_.push_back(std::move(counts));
  }
  PieceCounts total() {
    PieceCounts sum;
    for (const auto& counts : idle_) sum.size() == 0 ? std::swap(sum, *counts) : sum.add(*counts);
    return sum;
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<PieceCounts>> idle_;
};

/// Items of about a megabyte together; nothing at the end.
std::optional<Batch> next_batch(const std::function<std::optional<std::string>()>& next_item) {
  Batch batch;
  for (size_t bytes = 0; bytes < kBatchBytes;) {
    auto item = next_item();
    if (!item) break;
    bytes += item->size() + 1;
    batch.push_back(std::move(*item));
  }
  if (batch.empty()) return std::nullopt;
  return batch;
}

Stats count_batch(Batch&& batch, const TextOf& text_of, const TrainOptions& options, CountPool& pool) {
  Stats stats;
  auto counts = pool.take();
  for (std::string& item : batch) {
    ++stats.records_in;
    if (const auto text = text_of(std::move(item))) {
      count_text(*text, options, *counts);
      ++stats.records_out;
    } else {
      stats.drop("bad_record");
    }
  }
  pool.give_back(std::move(counts));
  return stats;
}

Trained train_items(const std::function<std::optional<std::string>()>& next_item, const TextOf& text_of,
                    const TrainOptions& options) {
  options.check();
  CountPool pool;
  Trained result;
  {
    progress::Counter counter("counted", "documents");
    ordered_parallel<Batch, Stats>(
        options.threads, [&] { return next_batch(next_item); },
        [&](Batch&& batch) { return count_batch(std::move(batch), text_of, options, pool); },
        [&](Stats&& stats) {
          result.stats.records_in += stats.records_in;
          result.stats.records_out += stats.records_out;
          for (const auto& [reason, records] : stats.dropped) result.stats.drop(reason, records);
          counter.add(stats.records_in);
        });
  }
  if (result.stats.records_out == 0) {
    fail(Kind::input, "no document to learn from (", result.stats.records_in,
         " records, none with a text); see the input with shard-cat -n 1");
  }
  const PieceCounts counts = pool.total();
  result.distinct_pieces = counts.size();
  const Vocabulary vocabulary = BpeTrainer(counts, options).run();
  result.vocab_size = vocabulary.tokens.size();
  result.json = to_tokenizer_json(vocabulary);
  result.stats.bytes_out = result.json.size();
  return result;
}

}  // namespace

void TrainOptions::check() const {
  std::set<std::string> seen;
  for (const std::string& special : special_tokens) {
    if (special.empty()) fail(Kind::usage, "--special-tokens holds an empty name");
    if (!text::is_valid_utf8(special))
      fail(Kind::usage, "--special-tokens: ", in_quotes(special), " is no UTF-8");
    if (!seen.insert(special).second)
      fail(Kind::usage, "--special-tokens holds ", in_quotes(special), " twice");
  }
  const uint64_t least = 256 + special_tokens.size();
  if (vocab_size < least || vocab_size >= UINT32_MAX) {
    fail(Kind::usage, "--vocab-size ", vocab_size, " is not at least ", least, " (256 bytes and ",
         special_tokens.size(), " special tokens) and below 2^32 - 1");
  }
  if (max_piece_bytes < 2) fail(Kind::usage, "--max-piece-bytes must be at least 2");
}

Trained train(shard::Reader& documents, const TrainOptions& options) {
  Trained result = train_items(
      [&]() -> std::optional<std::string> {
        std::string_view record;
        if (!documents.next(record)) return std::nullopt;
        return std::string(record);
      },
      [](std::string&& line) -> std::optional<std::string> {
        try {
          return shard::Document::parse(line, "document").text;
        } catch (const Error&) {
          return std::nullopt;
        }
      },
      options);
  result.stats.bytes_in = documents.bytes_read();
  return result;
}

Trained train(const std::function<std::optional<std::string>()>& next_text, const TrainOptions& options) {
  uint64_t bytes = 0;
  Trained result = train_items(
      [&] {
        auto text = next_text();
        if (text) bytes += text->size();
        return text;
      },
      [](std::string&& text) { return std::optional(std::move(text)); }, options);
  result.stats.bytes_in = bytes;
  return result;
}

}  // namespace gristmill::tokenizer

#include "eval/perplexity.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include "base/error.hpp"
#include "base/progress.hpp"
#include "decode/prompt.hpp"
#include "shard/record.hpp"
#include "text/utf8.hpp"

namespace gristmill::eval {

namespace {

constexpr int64_t kBlockBatches = 16;  ///< batches' worth of tokens that are gathered before they are scored

/// What str.isspace() of Python says, by which published word counts were made.
bool is_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

struct Record {
  std::string id;
  Likelihood counts;
  size_t windows = 0;  ///< of the block that are its own
  bool whole = false;  ///< all its windows were gathered
};

/// One record's ids, the given first one included, and its counts of bytes and words.
std::vector<uint32_t> read_record(std::string_view line, const std::string& where,
                                  const decode::Session& session, bool ids, Record& record) {
  if (ids) {
    const Json json = Json::parse(line, where);
    const Json* list = json.find("ids");
    if (list == nullptr) fail(Kind::input, where, ": a record of --ids has \"ids\"");
    if (const Json* id = json.find("id"); id != nullptr && id->is_string()) record.id = id->as_string();
    return decode::ids_from_json(*list, where);
  }
  const auto document = shard::Document::parse(line, where);
  record.id = document.id;
  record.counts.bytes = document.text.size();
  record.counts.words = count_words(document.text);
  std::vector<uint32_t> sequence = {session.tokens().end_of_text()};
  session.tokens().encode(document.text, sequence);
  return sequence;
}

/// Calls `take` with each window of a sequence in order.
template <class Take>
void each_window(const std::vector<uint32_t>& ids, int64_t context, int64_t stride, const Take& take) {
  const auto last = static_cast<int64_t>(ids.size()) - 1;  // number of scored tokens, and the last target
  for (int64_t done = 0; done < last;) {
    const int64_t end = std::min(last, done == 0 ? context : done + stride);
    const int64_t begin = std::max<int64_t>(0, end - context);
    decode::ScoreRequest request;
    request.ids.assign(ids.begin() + begin, ids.begin() + end + 1);
    request.first_scored = static_cast<size_t>(done + 1 - begin);
    take(std::move(request));
    done = end;
  }
}

/// Gathers windows and scores them in blocks. A block may end within a record: one long document under a
/// small stride has many times its own size in windows, which are never in memory together.
class BlockScorer {
 public:
  using OnRecord = std::function<void(const std::string&, const Likelihood&)>;

  BlockScorer(decode::Session& session, const PerplexityOptions& options, const OnRecord& on_record)
      : session_(session), options_(options), on_record_(on_record) {}

  void add(Record record, const std::vector<uint32_t>& ids) {
    records_.push_back(std::move(record));
    each_window(ids, options_.context, options_.stride, [this](decode::ScoreRequest&& window) {
      tokens_ += static_cast<int64_t>(window.ids.size());
      requests_.push_back(std::move(window));
      ++records_.back().windows;
      if (tokens_ >= kBlockBatches * options_.batch_tokens) score_block();
    });
    records_.back().whole = true;
  }

  Likelihood finish() {
    score_block();
    return total_;
  }

 private:
  void score_block() {
    const auto scores = decode::score(*session_.model, requests_, options_.batch_tokens);
    size_t next = 0;
    for (auto& record : records_) {
      for (; record.windows > 0; --record.windows) {
        for (const double log_prob : scores[next]) record.counts.nll -= log_prob;
        record.counts.tokens += scores[next++].size();
      }
      if (record.whole) report(record);
    }
    std::erase_if(records_, [](const Record& record) { return record.whole; });
    requests_.clear();
    tokens_ = 0;
  }

  void report(const Record& record) {
    if (!std::isfinite(record.counts.nll)) {
      fail(Kind::input, session_.path, ": the model's probabilities are no numbers; its weights are damaged");
    }
    total_.add(record.counts);
    if (on_record_) on_record_(record.id, record.counts);
  }

  decode::Session& session_;
  const PerplexityOptions& options_;
  const OnRecord& on_record_;
  std::vector<Record> records_;
  std::vector<decode::ScoreRequest> requests_;
  int64_t tokens_ = 0;
  Likelihood total_;
};

void resolve(PerplexityOptions& options, int64_t model_context) {
  if (options.context == 0) options.context = model_context;
  if (options.stride == 0) options.stride = options.context;
  if (options.context < 1 || options.context > model_context) {
    fail(Kind::usage, "--context is between 1 and the model's ", model_context);
  }
  if (options.stride < 1 || options.stride > options.context) {
    fail(Kind::usage, "--stride is between 1 and the context of ", options.context);
  }
}

}  // namespace

void Likelihood::add(const Likelihood& other) {
  nll += other.nll;
  tokens += other.tokens;
  bytes += other.bytes;
  words += other.words;
}

Json Likelihood::to_json() const {
  const auto ratio = [this](uint64_t count) { return nll / static_cast<double>(count); };
  Json json = Json::object();
  json["nll"] = nll;
  json["tokens"] = tokens;
  json["bytes"] = bytes == 0 ? Json() : Json(bytes);
  json["words"] = words == 0 ? Json() : Json(words);
  json["token_perplexity"] = tokens == 0 ? Json() : Json(std::exp(ratio(tokens)));
  json["byte_perplexity"] = bytes == 0 ? Json() : Json(std::exp(ratio(bytes)));
  json["word_perplexity"] = words == 0 ? Json() : Json(std::exp(ratio(words)));
  json["bits_per_byte"] = bytes == 0 ? Json() : Json(ratio(bytes) / std::numbers::ln2);
  return json;
}

std::vector<decode::ScoreRequest> windows(const std::vector<uint32_t>& ids, int64_t context, int64_t stride) {
  std::vector<decode::ScoreRequest> result;
  each_window(ids, context, stride,
              [&result](decode::ScoreRequest&& window) { result.push_back(std::move(window)); });
  return result;
}

uint64_t count_words(std::string_view text) {
  uint64_t words = 1;
  bool in_space = false;
  for (size_t at = 0; at < text.size();) {
    const auto code_point = text::decode_utf8(text, at);
    const bool space = is_space(code_point.value);
    if (space && !in_space) ++words;
    in_space = space;
    at += static_cast<size_t>(code_point.length);
  }
  return words;
}

Likelihood perplexity(decode::Session& session, shard::Reader& reader, const PerplexityOptions& given,
                      Stats& stats,
                      const std::function<void(const std::string&, const Likelihood&)>& on_record) {
  PerplexityOptions options = given;
  resolve(options, session.model->config().context);
  progress::Counter progress("scoring", "records");
  BlockScorer scorer(session, options, on_record);
  std::string_view line;
  while (reader.next(line)) {
    ++stats.records_in;
    progress.add();
    Record record;
    const auto ids = read_record(line, reader.where(), session, options.ids, record);
    for (const uint32_t id : ids) {
      if (static_cast<int64_t>(id) < session.model->config().vocab_size) continue;
      fail(Kind::input, reader.where(), ": id ", id, " is outside the vocabulary of ",
           session.model->config().vocab_size);
    }
    if (ids.size() < 2) {
      stats.drop("empty");
      continue;
    }
    scorer.add(std::move(record), ids);
    ++stats.records_out;
  }
  const Likelihood total = scorer.finish();
  stats.bytes_in = reader.bytes_read();
  if (total.tokens == 0)
    fail(Kind::input, "nothing to score: the input has no record with a token to predict");
  return total;
}

}  // namespace gristmill::eval

#include "tokenizer/tokenize.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/hash.hpp"
#include "base/json.hpp"
#include "base/parallel.hpp"
#include "base/progress.hpp"
#include "base/str.hpp"
#include "shard/reader.hpp"
#include "shard/record.hpp"
#include "shard/tokens.hpp"

namespace gristmill::tokenizer {
namespace {

constexpr size_t kBatchBytes = size_t{256} << 10;
constexpr uint64_t kMaxTextBytes = uint64_t{4} << 30;

/// Where the texts come from: the records of shards, or whole files.
class TextSource {
 public:
  virtual ~TextSource() = default;
  virtual std::optional<std::string> next() = 0;
  /// The text of an item, or nothing if it holds none. Called from several threads.
  virtual std::optional<std::string> text_of(std::string&& item) const = 0;
  virtual Json provenance() const = 0;
  virtual uint64_t bytes_read() const = 0;
};

class DocumentSource : public TextSource {
 public:
  explicit DocumentSource(const std::vector<std::string>& inputs) : reader_(inputs) {}
  std::optional<std::string> next() override {
    std::string_view record;
    if (!reader_.next(record)) return std::nullopt;
    return std::string(record);
  }
  std::optional<std::string> text_of(std::string&& item) const override {
    try {
      return shard::Document::parse(item, "document").text;
    } catch (const Error&) {
      return std::nullopt;
    }
  }
  Json provenance() const override { return reader_.provenance(); }
  uint64_t bytes_read() const override { return reader_.bytes_read(); }

 private:
  shard::Reader reader_;
};

class FileSource : public TextSource {
 public:
  explicit FileSource(const std::vector<std::string>& inputs) : inputs_(inputs) {}
  std::optional<std::string> next() override {
    if (input_ == inputs_.size()) return std::nullopt;
    std::string text = read_file(inputs_[input_++], kMaxTextBytes);
    bytes_ += text.size();
    Json entry = Json::object();
    entry["format"] = "text";
    entry["records"] = 1;
    entry["bytes"] = uint64_t{text.size()};
    entry["xxh64"] = format_hex64(xxh64(text));
    entries_.push_back(std::move(entry));
    return text;
  }
  std::optional<std::string> text_of(std::string&& item) const override { return std::move(item); }
  Json provenance() const override { return entries_; }
  uint64_t bytes_read() const override { return bytes_; }

 private:
  std::vector<std::string> inputs_;
  size_t input_ = 0;
  uint64_t bytes_ = 0;
  Json entries_ = Json::array();
};

/// Some documents' ids behind each other, or their lines.
struct Encoded {
  std::vector<uint32_t> ids;
  std::vector<size_t> ends;
  std::string lines;
  Stats stats;
};

void append_line(std::span<const uint32_t> ids, std::string& lines) {
  for (size_t i = 0; i < ids.size(); ++i) lines += str(i == 0 ? "" : " ", ids[i]);
  lines += '\n';
}

Encoded encode_batch(std::vector<std::string>&& batch, const TextSource& source, const Tokenizer& tokenizer,
                     bool lines) {
  Encoded out;
  for (std::string& item : batch) {
    ++out.stats.records_in;
    const auto text = source.text_of(std::move(item));
    if (!text) {
      out.stats.drop("bad_record");
      continue;
    }
    ++out.stats.records_out;
    tokenizer.encode(*text, out.ids);
    if (lines) {
      append_line(out.ids, out.lines);
      out.ids.clear();
    } else {
      out.ends.push_back(out.ids.size());
    }
  }
  return out;
}

void add_counts(const Stats& part, Stats& total) {
  total.records_in += part.records_in;
  total.records_out += part.records_out;
  for (const auto& [reason, records] : part.dropped) total.drop(reason, records);
}

Stats encode_all(TextSource& source, const Tokenizer& tokenizer, const TokenizeOptions& options,
                 const std::function<void(const Encoded&)>& sink) {
  Stats stats;
  progress::Counter counter("tokenized", "documents");
  ordered_parallel<std::vector<std::string>, Encoded>(
      options.threads,
      [&]() -> std::optional<std::vector<std::string>> {
        std::vector<std::string> batch;
        for (size_t bytes = 0; bytes < kBatchBytes;) {
          auto item = source.next();
          if (!item) break;
          bytes += item->size() + 1;
          batch.push_back(std::move(*item));
        }
        if (batch.empty()) return std::nullopt;
        return batch;
      },
      [&](std::vector<std::string>&& batch) {
        return encode_batch(std::move(batch), source, tokenizer, options.ids);
      },
      [&](Encoded&& encoded) {
        sink(encoded);
        add_counts(encoded.stats, stats);
        counter.add(encoded.stats.records_in);
      });
  stats.bytes_in = source.bytes_read();
  return stats;
}

Stats encode_to_lines(TextSource& source, const std::string& output, const Tokenizer& tokenizer,
                      const TokenizeOptions& options) {
  OutputFile file(output);
  uint64_t bytes = 0;
  Stats stats = encode_all(source, tokenizer, options, [&](const Encoded& encoded) {
    file.write(encoded.lines);
    bytes += encoded.lines.size();
  });
  file.close();
  stats.bytes_out = bytes;
  return stats;
}

Stats encode_to_shard(TextSource& source, const std::string& output, const Tokenizer& tokenizer,
                      const TokenizeOptions& options) {
  Json recorded = Json::object();
  recorded["text"] = options.text;
  shard::TokenWriter writer(output, {tokenizer.hash(), tokenizer.vocab_size(), tokenizer.end_of_text()},
                            recorded, options.seed, options.threads);
  Stats stats = encode_all(source, tokenizer, options, [&](const Encoded& encoded) {
    size_t begin = 0;
    for (const size_t end : encoded.ends) {
      writer.write(std::span(encoded.ids).subspan(begin, end - begin));
      begin = end;
    }
  });
  writer.close(source.provenance());
  stats.bytes_out = writer.bytes_written();
  return stats;
}

}  // namespace

Stats tokenize(const std::vector<std::string>& inputs, const std::string& output, const Tokenizer& tokenizer,
               const TokenizeOptions& options) {
  std::unique_ptr<TextSource> source;
  if (options.text) {
    source = std::make_unique<FileSource>(inputs);
  } else {
    source = std::make_unique<DocumentSource>(inputs);
  }
  return options.ids ? encode_to_lines(*source, output, tokenizer, options)
                     : encode_to_shard(*source, output, tokenizer, options);
}

}  // namespace gristmill::tokenizer

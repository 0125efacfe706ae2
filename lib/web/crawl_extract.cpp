#include "web/crawl_extract.hpp"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <utility>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/hash.hpp"
#include "base/parallel.hpp"
#include "base/progress.hpp"
#include "base/str.hpp"
#include "web/warc_reader.hpp"

namespace gristmill::web {

namespace {

/// A record or a file on its way to a worker.
struct Item {
  WarcRecord record;
  std::string html_id, html;
};

bool is_html_name(const std::filesystem::path& path) {
  const std::string suffix = to_lower_ascii(path.extension().string());
  return suffix == ".html" || suffix == ".htm";
}

/// Hands out items one by one and keeps account of what was read.
class Source {
 public:
  virtual ~Source() = default;
  virtual std::optional<Item> next() = 0;

  Json provenance = Json::array();
  uint64_t bytes_read = 0;

 protected:
  void add_input(const char* format, uint64_t records, uint64_t bytes, uint64_t digest) {
    Json entry = Json::object();
    entry["format"] = format;
    entry["records"] = records;
    entry["bytes"] = bytes;
    entry["xxh64"] = format_hex64(digest);
    provenance.push_back(std::move(entry));
  }
};

class WarcSource : public Source {
 public:
  WarcSource(std::vector<std::string> inputs, const CrawlOptions& options)
      : inputs_(std::move(inputs)), options_{options.max_record_bytes} {}

  std::optional<Item> next() override {
    Item item;
    while (reader_ || input_ < inputs_.size()) {
      if (!reader_) reader_.emplace(inputs_[input_++], options_);
      if (reader_->next(item.record)) return item;
      add_input("warc", reader_->records_read(), reader_->decoded_bytes(), reader_->digest());
      bytes_read += reader_->stored_bytes();
      reader_.reset();
    }
    return std::nullopt;
  }

 private:
  std::vector<std::string> inputs_;
  WarcOptions options_;
  size_t input_ = 0;
  std::optional<WarcReader> reader_;
};

class HtmlSource : public Source {
 public:
  HtmlSource(const std::vector<std::string>& inputs, uint64_t limit)
      : files_(html_files(inputs)), limit_(limit) {}

  std::optional<Item> next() override {
    if (at_ == files_.size()) return std::nullopt;
    const std::string& path = files_[at_++];
    const auto name = std::filesystem::path(path).filename();
    Item item;
    item.html_id = path == "-" ? "stdin" : (is_html_name(name) ? name.stem() : name).string();
    item.html = read_page(path);
    bytes_read += item.html.size();
    add_input("html", 1, item.html.size(), xxh64(item.html));
    return item;
  }

 private:
  /// At most one byte more than the limit, which is enough to see that a page is too large.
  std::string read_page(const std::string& path) const {
    InputFile file(path);
    std::string text;
    while (text.size() <= limit_) {
      const size_t old = text.size(),
                   want = static_cast<size_t>(std::min<uint64_t>(limit_ + 1 - old, 1 << 18));
      text.resize(old + want);
      const size_t got = file.read(text.data() + old, want);
      text.resize(old + got);
      if (got == 0) break;
    }
    return text;
  }

  std::vector<std::string> files_;
  uint64_t limit_;
  size_t at_ = 0;
};

void add_reject(shard::Writer* rejects, PageResult& result) {
  if (rejects == nullptr) return;
  result.document.metadata["dropped"] = result.dropped;
  rejects->write(result.document.to_line());
}

}  // namespace

std::vector<std::string> html_files(const std::vector<std::string>& inputs) {
  std::vector<std::string> files;
  for (const auto& input : inputs) {
    if (input == "-" || !std::filesystem::is_directory(input)) {
      files.push_back(input);
      continue;
    }
    const size_t first = files.size();
    for (const auto& entry : std::filesystem::directory_iterator(input)) {
      if (is_html_name(entry.path()) && !entry.is_directory()) files.push_back(entry.path().string());
    }
    if (files.size() == first) fail(Kind::input, "no .html or .htm file in the folder ", input);
    std::sort(files.begin() + static_cast<std::ptrdiff_t>(first), files.end());
  }
  return files;
}

CrawlStats crawl_extract(const std::vector<std::string>& inputs, shard::Writer& writer,
                         shard::Writer* rejects, const CrawlOptions& options) {
  std::unique_ptr<Source> source;
  if (options.html) {
    source = std::make_unique<HtmlSource>(inputs, options.max_page_bytes);
  } else {
    source = std::make_unique<WarcSource>(inputs, options);
  }
  CrawlStats stats;
  progress::Counter counter("extracted", options.html ? "files" : "records");
  const auto process = [&](Item&& item) {
    return options.html ? process_html(item.html_id, item.html, options)
                        : process_record(item.record, options);
  };
  const auto sink = [&](PageResult&& result) {
    counter.add();
    ++stats.records_in;
    for (const auto& repair : result.repaired) ++stats.repaired[repair];
    if (!result.dropped.empty()) {
      stats.drop(result.dropped);
      add_reject(rejects, result);
      return;
    }
    ++stats.records_out;
    writer.write(result.document.to_line());
  };
  ordered_parallel<Item, PageResult>(
      options.threads, [&] { return source->next(); }, process, sink);
  writer.close(source->provenance);
  if (rejects != nullptr) rejects->close(source->provenance);
  stats.bytes_in = source->bytes_read;
  stats.bytes_out = writer.bytes_written();
  return stats;
}

}  // namespace gristmill::web

#include "shard/reader.hpp"

#include <unistd.h>

#include <cstring>
#include <string>
#include <utility>

#include "base/error.hpp"
#include "base/str.hpp"
#include "shard/byte_source.hpp"
#include "shard/decoder.hpp"
#include "shard/provenance.hpp"
#include "shard/token_loader.hpp"

namespace gristmill::shard {

namespace {

/// The documents of a token shard as records, one made at a time.
struct TokenLines {
  bool take(std::string_view& record) {
    if (document == set.document_starts.size()) return false;
    const size_t start = set.document_starts[document++];
    const bool last = document == set.document_starts.size();
    const size_t end = last ? set.ids.size() : set.document_starts[document];
    line = "{\"ids\":[";
    for (size_t i = start; i < end; ++i) {
      if (i > start) line += ',';
      line += std::to_string(set.ids[i]);
    }
    line += "]}";
    record = line;
    return true;
  }

  TokenSet set;
  TokenLoader loader{"", set};
  bool ready = false;  ///< the shard has ended and is whole
  size_t document = 0;
  std::string line;
};

}  // namespace

struct Reader::State {
  State(std::vector<std::string> paths, const ReaderOptions& reader_options)
      : inputs(std::move(paths)), options(reader_options) {}

  void open_next() {
    source = std::make_unique<ByteSource>(inputs[input++]);
    decoder = open_decoder(*source);
    input_records = 0;
    start_segment();
  }

  void start_segment() { segment_lines = segment_records = 0; }

  const std::string& name() const { return source->name(); }

  /// Moves to the next piece of decoded bytes; false at the end of the last input. A last line without a
  /// newline (foreign text) is left in `partial` with `line_ended`.
  bool advance() {
    chunk = {};
    at = 0;
    while (!line_ended && !(tokens != nullptr && tokens->ready)) {
      if (decoder == nullptr) {
        if (input == inputs.size()) return false;
        open_next();
      }
      std::string_view piece;
      switch (decoder->next(piece)) {
        case Event::data:
          chunk = piece;
          return accept_chunk();
        case Event::segment_end:
          end_segment();
          break;
        case Event::end:
          bytes_before += source->taken();
          decoder.reset();
          source_name = source->name();
          source.reset();
          break;
      }
    }
    return true;
  }

  bool accept_chunk() {
    const auto& now = decoder->header();
    if (now && now->schema == kTokens && options.tokens_as_records) {
      if (tokens == nullptr) tokens = std::make_unique<TokenLines>();
      tokens->loader.append(now, chunk, name());
      chunk = {};
      return true;
    }
    if (now && now->schema == kTokens) {
      fail(Kind::input, name(),
           ": is a token shard, where records are wanted; shard-cat shows it as JSON Lines");
    }
    if (!now && !options.allow_foreign) {
      fail(Kind::input, name(), ": is no Gristmill shard; give the output of a Gristmill tool");
    }
    if (segment_lines == 0 && partial.empty() && !now && chunk.substr(0, 3) == "\xEF\xBB\xBF") at = 3;
    return true;
  }

  void end_segment() {
    const Segment& segment = decoder->segment();
    if (segment.header && !first_header) first_header = segment.header;
    if (segment.header && segment.header->schema == kTokens && options.tokens_as_records) {
      if (tokens == nullptr) tokens = std::make_unique<TokenLines>();
      tokens->loader.finish(segment, name());
      tokens->ready = true;
    }
    if (!partial.empty()) {
      if (segment.header) fail(Kind::input, name(), ": damaged: the last record has no end");
      count_line(partial);
      line_ended = true;
    }
    if (segment.header && segment.header->schema != kTokens && segment.trailer.records != segment_lines) {
      fail(Kind::input, name(), ": damaged: ", segment_lines, " records, but its trailer counts ",
           segment.trailer.records);
    }
    entries.push_back(provenance_entry(segment, segment_records));
    start_segment();
  }

  static bool blank(std::string_view line) { return line.empty() || line == "\r"; }

  void count_line(std::string_view line) {
    ++segment_lines;
    if (blank(line)) return;
    ++segment_records;
    ++input_records;
    ++records;
  }

  void check_length(uint64_t size) const {
    if (size <= options.max_record_bytes) return;
    fail(Kind::input, name(), ": record ", input_records + 1, " is longer than ", options.max_record_bytes,
         " bytes; split it or drop it before this step");
  }

  /// A whole line from what is at hand, or nothing: then the rest of the chunk has moved to `partial`.
  bool take_line(std::string_view& line) {
    if (at == chunk.size()) return false;
    const char* start = chunk.data() + at;
    const size_t left = chunk.size() - at;
    const auto* end = static_cast<const char*>(std::memchr(start, '\n', left));
    const size_t length = end == nullptr ? left : static_cast<size_t>(end - start);
    check_length(partial.size() + length);
    at += length + (end == nullptr ? 0 : 1);
    if (end != nullptr && partial.empty()) {
      line = {start, length};
      return true;
    }
    partial.append(start, length);
    line = partial;
    partial_shown = end != nullptr;
    return partial_shown;
  }

  bool take_document(std::string_view& record) {
    if (!tokens->take(record)) {
      tokens.reset();
      return false;
    }
    ++input_records;
    ++records;
    header = decoder->header();
    return true;
  }

  bool next(std::string_view& record) {
    for (;;) {
      if (partial_shown) partial.clear();
      partial_shown = false;
      if (tokens != nullptr && tokens->ready && take_document(record)) return true;
      if (take_line(record)) {
        count_line(record);
        if (blank(record)) continue;
        if (header_changed()) header = decoder->header();
        return true;
      }
      if (!advance()) return false;
      if (!line_ended) continue;
      line_ended = false;
      partial_shown = true;
      record = partial;
      header.reset();
      if (!blank(record)) return true;
    }
  }

  bool header_changed() const { return segment_records == 1; }

  std::vector<std::string> inputs;
  ReaderOptions options;
  size_t input = 0;
  std::unique_ptr<ByteSource> source;
  std::unique_ptr<Decoder> decoder;
  std::string source_name;
  std::string_view chunk;
  size_t at = 0;
  std::unique_ptr<TokenLines> tokens;
  std::string partial;         ///< the beginning of a line whose end is in a later chunk
  bool partial_shown = false;  ///< `partial` is the record handed out last
  bool line_ended = false;     ///< `partial` is a whole line: the input ended
  uint64_t segment_lines = 0, segment_records = 0, input_records = 0, records = 0, bytes_before = 0;
  std::optional<Header> header, first_header;
  Json entries = Json::array();
};

Reader::Reader(std::vector<std::string> inputs, const ReaderOptions& options)
    : state_(std::make_unique<State>(std::move(inputs), options)) {
  // A misspelt name is told now and not after hours of work on the inputs before it.
  for (const auto& path : state_->inputs) {
    if (path != "-" && ::access(path.c_str(), R_OK) != 0) fail_errno("cannot open", path);
  }
}

Reader::~Reader() = default;
Reader::Reader(Reader&&) noexcept = default;

bool Reader::next(std::string_view& record) { return state_->next(record); }

std::string Reader::where() const {
  const auto& s = *state_;
  return str(s.source != nullptr ? s.source->name() : s.source_name, ", record ", s.input_records);
}

const std::optional<Header>& Reader::header() {
  auto& s = *state_;
  if (s.records > 0) return s.header;
  while (s.at == s.chunk.size() && !s.line_ended) {
    if (!s.advance()) return s.first_header;
    if (s.decoder->header()) break;
  }
  return s.decoder->header();
}

Json Reader::provenance() const { return state_->entries; }

uint64_t Reader::bytes_read() const {
  return state_->bytes_before + (state_->source != nullptr ? state_->source->taken() : 0);
}

uint64_t Reader::records_read() const { return state_->records; }

}  // namespace gristmill::shard

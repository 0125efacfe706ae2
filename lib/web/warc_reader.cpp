#include "web/warc_reader.hpp"

#include <algorithm>
#include <optional>

#include "base/error.hpp"
#include "base/str.hpp"
#include "web/byte_source.hpp"

namespace gristmill::web {

namespace {

constexpr size_t kReadBlock = 1 << 16;
constexpr size_t kMaxHeaderBytes = 1 << 16;
constexpr std::string_view kMagic = "WARC/";
/// Bytes that may be read twice to look for records inside a block that was announced too long: bounds the
/// work.
constexpr uint64_t kMaxReread = uint64_t{256} << 20;

/// Where the next record starts in `text` at or after `from`: a line that begins "WARC/" and a digit.
size_t find_record(std::string_view text, size_t from) {
  for (size_t at = text.find(kMagic, from); at != std::string_view::npos; at = text.find(kMagic, at + 1)) {
    const bool line_start = at == 0 || text[at - 1] == '\n';
    if (line_start && at + 5 < text.size() && text[at + 5] >= '0' && text[at + 5] <= '9') return at;
  }
  return std::string_view::npos;
}

}  // namespace

std::string_view strip_brackets(std::string_view text) {
  text = strip(text);
  if (text.size() >= 2 && text.front() == '<' && text.back() == '>') return text.substr(1, text.size() - 2);
  return text;
}

struct WarcReader::State {
  State(const std::string& path, const WarcOptions& chosen) : source(path), options(chosen) {}

  ByteSource source;
  WarcOptions options;
  std::string buffer;
  size_t pos = 0;     ///< unread part of the buffer
  uint64_t base = 0;  ///< offset of buffer[0] in the decoded file
  uint64_t record_offset = 0;
  uint64_t records = 0, reread = 0;
  bool ended = false;

  size_t available() const { return buffer.size() - pos; }
  std::string_view rest() const { return std::string_view(buffer).substr(pos); }

  /// Reads one more block; false at the end.
  bool more() {
    if (ended) return false;
    if (pos > kReadBlock) {  // the byte before stays: it tells whether a line starts at pos
      buffer.erase(0, pos - 1);
      base += pos - 1;
      pos = 1;
    }
    const size_t old = buffer.size();
    buffer.resize(old + kReadBlock);
    size_t got = 0;
    try {
      got = source.read(buffer.data() + old, kReadBlock);
    } catch (...) {
      buffer.resize(old);
      throw;
    }
    buffer.resize(old + got);
    ended = got == 0;
    return got > 0;
  }

  bool ensure(size_t want) {
    while (available() < want && more()) {
    }
    return available() >= want;
  }

  void skip_line_ends() {
    while (ensure(1) && (buffer[pos] == '\r' || buffer[pos] == '\n')) ++pos;
  }

  /// True if a record starts here, be it cut off after some letters.
  bool at_record() {
    if (ensure(kMagic.size() + 1)) return find_record(rest().substr(0, kMagic.size() + 1), 0) == 0;
    return available() > 0 && kMagic.substr(0, available()) == rest();
  }

  /// Moves to the next line behind offset `after` that starts a record, or to the end.
  void resynchronise(uint64_t after) {
    for (;;) {
      size_t at = find_record(buffer, pos);
      if (at != std::string::npos && base + at <= after) at = find_record(buffer, at + 1);
      if (at != std::string::npos) {
        pos = at;
        return;
      }
      pos = std::max(pos, buffer.size() - std::min(buffer.size(), kMagic.size()));
      if (!more()) break;
    }
    pos = buffer.size();
  }

  [[noreturn]] void fail_cut() const {
    fail(Kind::input, source.name(), " ends inside the record at byte ", record_offset,
         ": the file is cut off; the records before it are good, fetch the file again for the rest");
  }

  /// The next header line without its line end; nothing when the header grows too long.
  std::optional<std::string> line(size_t& budget) {
    size_t searched = 0;
    for (;;) {
      const size_t end = rest().find('\n', searched);
      if (end != std::string_view::npos) {
        if (end > budget) return std::nullopt;
        budget -= end;
        std::string text(rest().substr(0, end));
        pos += end + 1;
        if (!text.empty() && text.back() == '\r') text.pop_back();
        return text;
      }
      searched = available();
      if (searched > budget) return std::nullopt;
      if (!more()) fail_cut();
    }
  }

  bool read_header(WarcRecord& record, uint64_t& length);
  bool read_block(WarcRecord& record, uint64_t length);
  bool record_follows();
  void finish(WarcRecord& record, bool whole);
};

/// Reads version line and fields; false if the header cannot be used (no length, too long).
bool WarcReader::State::read_header(WarcRecord& record, uint64_t& length) {
  size_t budget = kMaxHeaderBytes;
  line(budget);  // WARC/1.0
  std::optional<uint64_t> size;
  for (;;) {
    const auto text = line(budget);
    if (!text) return false;
    if (text->empty()) break;
    if ((text->front() == ' ' || text->front() == '\t') && !record.headers.empty()) {
      record.headers.back().second += str(" ", strip(*text));  // a folded line
      continue;
    }
    const size_t colon = text->find(':');
    if (colon == std::string::npos) continue;
    record.headers.emplace_back(strip(text->substr(0, colon)), strip(text->substr(colon + 1)));
    const auto& [name, value] = record.headers.back();
    if (equals_ignoring_case(name, "content-length")) size = parse_uint(value);
    if (equals_ignoring_case(name, "warc-type")) record.type = to_lower_ascii(value);
    if (equals_ignoring_case(name, "warc-record-id")) record.id = strip_brackets(value);
    if (equals_ignoring_case(name, "warc-target-uri")) record.uri = strip_brackets(value);
    if (equals_ignoring_case(name, "warc-date")) record.date = value;
    if (equals_ignoring_case(name, "content-type")) record.content_type = value;
  }
  length = size.value_or(0);
  return size.has_value();
}

/// Reads the block, or passes over one that is too large; false if the file ends inside it.
bool WarcReader::State::read_block(WarcRecord& record, uint64_t length) {
  const bool keep = length <= options.max_record_bytes;
  if (!keep) record.fault = RecordFault::too_large;
  while (length > 0) {
    if (available() == 0 && !more()) return false;
    const size_t count = static_cast<size_t>(std::min<uint64_t>(length, available()));
    if (keep) record.block.append(buffer, pos, count);
    pos += count;
    length -= count;
  }
  return true;
}

/// True if line ends and another record, or the end, come next. This reads past the end of the record's
/// member, so that its checksum is compared before the record leaves; damage of the member behind is left to
/// the next call.
bool WarcReader::State::record_follows() {
  bool checked = false;
  try {
    do {
      while (available() > 0 && (buffer[pos] == '\r' || buffer[pos] == '\n')) ++pos;
      checked = checked || (available() == 0 && source.at_member_end());
    } while (available() == 0 && more());
    return available() == 0 || at_record();
  } catch (const Error&) {
    if (checked) return true;
    throw;
  }
}

/// Checks that another record or the end follows; if not, Content-Length was wrong: mark the record and go on
/// at the next one, which may have begun inside the block.
void WarcReader::State::finish(WarcRecord& record, bool whole) {
  if (whole && record_follows()) return;
  if (record.fault == RecordFault::none) record.fault = RecordFault::damaged;
  const size_t inside = find_record(record.block, 1);
  const size_t size = record.block.size();
  if (inside != std::string::npos && reread + size - inside <= kMaxReread) {
    reread += size - inside;
    base += pos - (size - inside);
    buffer = record.block.substr(inside) + buffer.substr(pos);
    pos = 0;
    record.block.resize(inside);
    return;
  }
  if (!whole) fail_cut();
  resynchronise(record.offset);
}

WarcReader::WarcReader(const std::string& path, const WarcOptions& options)
    : state_(std::make_unique<State>(path, options)) {}
WarcReader::~WarcReader() = default;
WarcReader::WarcReader(WarcReader&&) noexcept = default;

bool WarcReader::next(WarcRecord& record) {
  auto& s = *state_;
  record = WarcRecord{};
  s.skip_line_ends();
  if (s.available() == 0) {
    if (s.records > 0) return false;
    fail(Kind::input, s.source.name(), " is empty: a WARC file starts with a WARC/1.0 record");
  }
  if (!s.at_record()) {
    if (s.records > 0) return false;  // what follows the last record holds no other
    fail(Kind::input, s.source.name(), " is no WARC file: it starts with ", in_quotes(s.rest().substr(0, 16)),
         " where WARC/1.0 is expected (bare HTML files need --html)");
  }
  record.offset = s.record_offset = s.base + s.pos;
  ++s.records;
  uint64_t length = 0;
  if (!s.read_header(record, length)) {
    record.fault = RecordFault::damaged;
    s.resynchronise(record.offset);
    return true;
  }
  s.finish(record, s.read_block(record, length));
  return true;
}

const std::string& WarcReader::name() const { return state_->source.name(); }
uint64_t WarcReader::stored_bytes() const { return state_->source.stored_bytes(); }
uint64_t WarcReader::decoded_bytes() const { return state_->source.decoded_bytes(); }
uint64_t WarcReader::records_read() const { return state_->records; }
uint64_t WarcReader::digest() const { return state_->source.digest(); }

}  // namespace gristmill::web

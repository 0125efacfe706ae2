#include "shard/writer.hpp"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/hash.hpp"
#include "base/version.hpp"
#include "shard/format.hpp"
#include "shard/frame_compressor.hpp"

namespace gristmill::shard {

namespace {

/// A record larger than this is cut into several frames, so that no frame needs more memory than this to
/// write.
constexpr size_t kMostFrameBytes = size_t{16} << 20;
/// A provenance chain beyond these is named by its hash alone: readers bound the trailer and its depth.
constexpr size_t kMostProvenanceBytes = size_t{48} << 20;
constexpr int kMostProvenanceDepth = 100;

int depth_of(const Json& json) {
  int deepest = 0;
  if (json.is_array()) {
    for (const auto& item : json.as_array()) deepest = std::max(deepest, depth_of(item));
  } else if (json.is_object()) {
    for (const auto& [key, item] : json.as_object()) deepest = std::max(deepest, depth_of(item));
  } else {
    return 0;
  }
  return deepest + 1;
}

Json bounded_provenance(const Json& provenance) {
  const std::string text = provenance.dump();
  if (text.size() <= kMostProvenanceBytes && depth_of(provenance) <= kMostProvenanceDepth) return provenance;
  Json named = Json::object();
  named["provenance_xxh64"] = format_hex64(xxh64(text));
  return Json(Json::Array{named});
}

bool ends_with(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

}  // namespace

WriterOptions writer_options(const std::string& path, int threads) {
  WriterOptions options;
  options.threads = threads;
  options.plain = ends_with(path, ".jsonl");
  return options;
}

struct Writer::State {
  State(const std::string& path, const WriterOptions& writer_options)
      : options(writer_options),
        file(path),
        compressor(options.level, options.threads,
                   [this](const std::string& frame, size_t decoded) { emit(frame, decoded); }) {}

  void emit(const std::string& frame, size_t decoded) {
    file.write(frame);
    stored_digest.update(frame.data(), frame.size());
    stored += frame.size();
    frames.push_back({static_cast<uint32_t>(frame.size()), static_cast<uint32_t>(decoded)});
  }

  /// Takes data in, closing a frame whenever it holds `frame_bytes` and more is to come.
  void append(const char* data, size_t size, size_t frame_bytes) {
    digest.update(data, size);
    bytes += size;
    while (size > 0) {
      if (buffer.size() == frame_bytes) end_frame();
      const size_t part = std::min(size, frame_bytes - buffer.size());
      buffer.append(data, part);
      data += part;
      size -= part;
    }
  }

  /// Sends what is buffered on its way.
  void end_frame() {
    if (buffer.empty()) return;
    if (options.plain) {
      file.write(buffer);
      stored += buffer.size();
      buffer.clear();
    } else {
      compressor.push(std::exchange(buffer, {}));
    }
  }

  void write_index() {
    for (size_t at = 0; at < index.size(); at += kMaxIndexBytes) {
      emit(own_frame(FrameKind::index, std::string_view(index).substr(at, kMaxIndexBytes)), 0);
    }
  }

  void write_trailer(const Json& provenance) {
    Trailer trailer;
    trailer.records = records;
    trailer.bytes = bytes;
    trailer.digest = digest.digest();
    trailer.stored_bytes = stored;
    trailer.stored_digest = stored_digest.digest();
    trailer.inputs = bounded_provenance(provenance);
    emit(own_frame(FrameKind::trailer, to_json(trailer).dump()), 0);
    const std::string table = seek_table(frames);
    file.write(table);
    stored += table.size();
  }

  WriterOptions options;
  OutputFile file;
  std::string buffer, index;
  std::vector<FrameSize> frames;
  Xxh64Stream digest, stored_digest;
  uint64_t bytes = 0, stored = 0, records = 0;
  bool closed = false;
  FrameCompressor compressor;  // last: its threads end before what they use
};

Writer::Writer(const std::string& path, const Header& header, const WriterOptions& options)
    : state_(std::make_unique<State>(path, options)) {
  if (options.plain) return;
  Header stamped = header;
  stamped.version = GRISTMILL_VERSION;
  const std::string body = to_json(stamped).dump();
  if (body.size() + kOwnOverhead > kMaxHeaderBytes) {
    fail(Kind::usage, "the options recorded in ", state_->file.name(), " take more than ", kMaxHeaderBytes,
         " bytes");
  }
  state_->emit(own_frame(FrameKind::header, body), 0);
}

Writer::~Writer() = default;

void Writer::write(std::string_view record) {
  auto& s = *state_;
  if (record.find('\n') != std::string_view::npos) {
    fail(Kind::internal, s.file.name(), ": a record with a line break in it");
  }
  s.append(record.data(), record.size(), kMostFrameBytes);
  s.append("\n", 1, kMostFrameBytes);
  ++s.records;
  if (s.buffer.size() >= s.options.frame_bytes) s.end_frame();
}

void Writer::write_bytes(const void* data, size_t size, uint64_t records) {
  auto& s = *state_;
  const auto frame = static_cast<size_t>(std::clamp<uint64_t>(s.options.frame_bytes, 1, kMostFrameBytes));
  s.append(static_cast<const char*>(data), size, frame);
  s.records += records;
}

void Writer::set_index(std::string index) { state_->index = std::move(index); }

void Writer::close(const Json& provenance) {
  auto& s = *state_;
  if (s.closed) return;
  s.end_frame();
  s.compressor.finish();
  if (!s.options.plain) {
    s.write_index();
    s.write_trailer(provenance);
  }
  s.file.close();
  s.closed = true;
}

uint64_t Writer::bytes_written() const { return state_->stored; }
uint64_t Writer::records_written() const { return state_->records; }

}  // namespace gristmill::shard

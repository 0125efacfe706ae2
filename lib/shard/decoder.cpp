#include "shard/decoder.hpp"

#include <zlib.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "base/error.hpp"

namespace gristmill::shard {

namespace {

using namespace std::string_view_literals;

class PlainDecoder : public Decoder {
 public:
  explicit PlainDecoder(ByteSource& source) : Decoder(source) { start_segment("plain"); }

  Event next(std::string_view& chunk) override {
    if (ended_) return Event::end;
    source_.take(held_);
    chunk = source_.available();
    held_ = chunk.size();
    count(chunk);
    if (!chunk.empty()) return Event::data;
    // Even a shard without records has a header: silence means that the writer never got that far.
    if (source_.taken() == 0 && source_.is_pipe()) {
      fail(Kind::input, source_.name(),
           ": nothing came through the pipe; see why the command before this one failed");
    }
    segment_.trailer.digest = digest_->digest();
    ended_ = true;
    return Event::segment_end;
  }

 private:
  size_t held_ = 0;
  bool ended_ = false;
};

/// Members of a gzip file behind each other (RFC 1952). A member that is cut off is an error, for zlib's
/// tools warn at most and a corpus would lose its end in silence.
class GzipDecoder : public Decoder {
 public:
  explicit GzipDecoder(ByteSource& source) : Decoder(source), out_(kOut) {
    start_segment("gzip");
    constexpr int kGzipOnly = 16 + MAX_WBITS;
    if (inflateInit2(&stream_, kGzipOnly) != Z_OK) fail(Kind::internal, "zlib cannot start");
  }
  ~GzipDecoder() override { inflateEnd(&stream_); }

  Event next(std::string_view& chunk) override {
    while (!ended_) {
      if (!in_member_ && !start_member()) {
        segment_.trailer.digest = digest_->digest();
        ended_ = true;
        return Event::segment_end;
      }
      chunk = inflate_some();
      if (!chunk.empty()) return Event::data;
    }
    return Event::end;
  }

 private:
  static constexpr size_t kOut = 256 << 10;

  bool start_member() {
    const std::string_view head = source_.peek(2);
    if (head.empty()) return false;
    if (head == "\x1f"sv) {
      fail(Kind::input, source_.name(), ": the gzip data is cut off at byte ", source_.taken() + 1,
           "; fetch the file again");
    }
    if (head != "\x1f\x8b"sv) {
      fail(Kind::input, source_.name(), ": bytes that are no gzip follow the member that ends at byte ",
           source_.taken());
    }
    inflateReset(&stream_);
    in_member_ = true;
    return true;
  }

  std::string_view inflate_some() {
    const std::string_view in = output_full_ ? source_.buffered() : source_.available();
    if (in.empty() && !output_full_) {
      fail(Kind::input, source_.name(), ": the gzip data is cut off at byte ", source_.taken(),
           "; fetch the file again");
    }
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in.data()));
    stream_.avail_in = static_cast<uInt>(in.size());
    stream_.next_out = reinterpret_cast<Bytef*>(out_.data());
    stream_.avail_out = static_cast<uInt>(out_.size());
    const int result = inflate(&stream_, Z_NO_FLUSH);
    source_.take(in.size() - stream_.avail_in);
    if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR) {
      fail(Kind::input, source_.name(), ": damaged gzip data before byte ", source_.taken(), " (",
           stream_.msg != nullptr ? stream_.msg : "bad data", "); fetch the file again");
    }
    in_member_ = result != Z_STREAM_END;
    output_full_ = in_member_ && stream_.avail_out == 0;
    const std::string_view chunk(out_.data(), out_.size() - stream_.avail_out);
    count(chunk);
    return chunk;
  }

  z_stream stream_{};
  std::vector<char> out_;
  bool in_member_ = false, output_full_ = false, ended_ = false;
};

const std::vector<std::pair<std::string_view, const char*>>& unread_formats() {
  static const std::vector<std::pair<std::string_view, const char*>> kFormats = {
      {"\xFD"
       "7zXZ\0"sv,
       "xz-compressed"},
      {"BZh"sv, "bzip2-compressed"},
      {"PAR1"sv, "a Parquet file"},
      {"PK\x03\x04"sv, "a zip archive"},
      {"WARC/"sv, "a web archive (crawl-extract reads those)"},
  };
  return kFormats;
}

std::string bytes_of(uint32_t magic) {
  std::string bytes;
  append_u32(bytes, magic);
  return bytes;
}

}  // namespace

const std::optional<Header>& Decoder::header() const { return segment_.header; }

std::unique_ptr<Decoder> open_plain(ByteSource& source) { return std::make_unique<PlainDecoder>(source); }
std::unique_ptr<Decoder> open_gzip(ByteSource& source) { return std::make_unique<GzipDecoder>(source); }

std::unique_ptr<Decoder> open_decoder(ByteSource& source) {
  const std::string_view head = source.peek(kFrameHead + kTag.size());
  if (head.empty()) return open_plain(source);
  // A file cut inside its magic number is a cut file, not a text of one to three letters.
  const std::string_view start = head.substr(0, 4);
  const bool zstd = start == bytes_of(kZstdMagic).substr(0, start.size()) ||
                    start == bytes_of(kOwnMagic).substr(0, start.size()) ||
                    (head.size() >= 4 && is_skippable(load_u32(head)));
  // The tag behind a magic number that is none: one of our shards, damaged.
  if (zstd || head.substr(std::min(head.size(), kFrameHead)) == kTag) return open_zstd(source);
  if (head.substr(0, 2) == "\x1f\x8b"sv.substr(0, head.size())) return open_gzip(source);
  for (const auto& [magic, what] : unread_formats()) {
    if (head.substr(0, magic.size()) != magic) continue;
    fail(Kind::input, source.name(), ": is ", what, "; give JSON Lines (plain, gzip or zstd) or a shard");
  }
  return open_plain(source);
}

}  // namespace gristmill::shard

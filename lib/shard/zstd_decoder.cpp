// Reads zstd files frame by frame: shards of ours, checked to the last bit, and zstd data from elsewhere.
//
// A shard is checked in four ways, each of which sees what the others cannot: zstd's checksum of each
// frame, the checksum of each frame of ours, the trailer's hash of all stored bytes before it (some bits of
// a zstd frame header are read by nobody), and the seek table, which must be the one we would write.

#include <zstd.h>

#include <algorithm>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "shard/decoder.hpp"

namespace gristmill::shard {

namespace {

struct FreeContext {
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

enum class Place {
  start,    ///< at the beginning, or behind a whole shard
  foreign,  ///< in zstd data that is not ours
  data,     ///< behind a shard's header
  index,    ///< behind an index frame
  trailer,  ///< behind the trailer: the seek table is all that may come
};

class ZstdDecoder : public Decoder {
 public:
  explicit ZstdDecoder(ByteSource& source)
      : Decoder(source), context_(ZSTD_createDCtx()), out_(ZSTD_DStreamOutSize()) {
    if (context_ == nullptr) throw std::bad_alloc();
  }

  Event next(std::string_view& chunk) override {
    for (;;) {
      if (in_frame_) {
        chunk = decompress_some();
        if (!chunk.empty()) return Event::data;
        continue;
      }
      frame_start_ = source_.taken();
      const std::string_view head = source_.peek(kFrameHead + kTag.size());
      if (head.empty()) return at_end();
      const uint32_t magic = head.size() < 4 ? 0 : load_u32(head);
      const bool tagged = head.substr(std::min(head.size(), kFrameHead)) == kTag;
      if (magic == kZstdMagic) {
        start_frame();
      } else if (magic == kOwnMagic || tagged) {
        read_own_frame();
      } else if (is_skippable(magic)) {
        if (read_skippable(magic)) return Event::segment_end;
      } else {
        unknown_bytes(head);
      }
    }
  }

 private:
  bool in_shard() const { return place_ != Place::start && place_ != Place::foreign; }

  [[noreturn]] void damaged(std::string_view what) const {
    fail(Kind::input, source_.name(), ": damaged in the frame at byte ", frame_start_, ": ", what,
         "; make or fetch the file again");
  }

  [[noreturn]] void cut() const { cut(in_shard()); }

  [[noreturn]] void cut(bool ours) const {
    if (ours) {
      fail(Kind::input, source_.name(),
           " has no trailer: the tool that wrote it did not finish (cut at byte ",
           source_.taken() + source_.buffered().size(), "); run that tool again");
    }
    fail(Kind::input, source_.name(), ": the file is cut off at byte ",
         source_.taken() + source_.buffered().size(), "; make or fetch it again");
  }

  [[noreturn]] void unknown_bytes(std::string_view head) const {
    if (head.size() < 4) cut();
    damaged("a frame should start here, but there are other bytes");
  }

  Event at_end() {
    if (in_shard()) cut();
    if (place_ == Place::start) return Event::end;
    segment_.trailer.digest = digest_->digest();
    place_ = Place::start;
    return Event::segment_end;
  }

  /// Takes stored bytes, hashing them while they belong to what the trailer answers for.
  void take(std::string_view bytes) {
    if (stored_ && place_ != Place::trailer) stored_->update(bytes.data(), bytes.size());
    source_.take(bytes.size());
  }

  void start_frame() {
    if (place_ == Place::index || place_ == Place::trailer) damaged("data behind the index or the trailer");
    if (place_ == Place::start) start_foreign();
    ZSTD_DCtx_reset(context_.get(), ZSTD_reset_session_only);
    in_frame_ = true;
    output_full_ = false;
    frame_stored_ = frame_decoded_ = 0;
  }

  void start_foreign() {
    if (shards_ > 0) damaged("data without a header behind the end of a shard");
    start_segment("zstd");
    place_ = Place::foreign;
  }

  std::string_view decompress_some() {
    const std::string_view bytes = output_full_ ? source_.buffered() : source_.available();
    if (bytes.empty() && !output_full_) cut();
    ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
    ZSTD_outBuffer out{out_.data(), out_.size(), 0};
    const size_t result = ZSTD_decompressStream(context_.get(), &out, &in);
    if (ZSTD_isError(result) != 0) damaged(ZSTD_getErrorName(result));
    take(bytes.substr(0, in.pos));
    frame_stored_ += in.pos;
    frame_decoded_ += out.pos;
    output_full_ = out.pos == out.size;
    if (result == 0) end_frame();
    const std::string_view chunk(out_.data(), out.pos);
    count(chunk);
    return chunk;
  }

  void end_frame() {
    in_frame_ = false;
    if (place_ == Place::foreign) return;
    if (frame_stored_ > UINT32_MAX || frame_decoded_ > UINT32_MAX)
      damaged("a frame larger than a seek table can hold");
    frames_.push_back({static_cast<uint32_t>(frame_stored_), static_cast<uint32_t>(frame_decoded_)});
  }

  /// The bytes of a frame that belongs to a shard, head included, grown as they arrive: a size that lies
  /// costs nothing.
  std::string read_whole_frame(uint64_t limit) {
    const std::string_view head = source_.peek(kFrameHead);
    if (head.size() < kFrameHead) cut(true);
    uint64_t left = kFrameHead + uint64_t{load_u32(head, 4)};
    if (left > limit) damaged(str("a frame of ", left, " bytes where at most ", limit, " are possible"));
    std::string frame;
    while (left > 0) {
      const std::string_view bytes = source_.available();
      if (bytes.empty()) cut(true);
      const std::string_view part =
          bytes.substr(0, static_cast<size_t>(std::min<uint64_t>(left, bytes.size())));
      frame += part;
      left -= part.size();
      source_.take(part.size());
    }
    return frame;
  }

  void read_own_frame() {
    const std::string frame = read_whole_frame(own_frame_limit(source_.peek(kOwnOverhead)));
    const OwnFrame own = parse_own_frame(frame, source_.name());
    switch (own.kind) {
      case FrameKind::header:
        start_shard(own.body);
        break;
      case FrameKind::index:
        add_index(own.body);
        break;
      case FrameKind::trailer:
        end_data(own.body);
        break;
    }
    frames_.push_back({static_cast<uint32_t>(frame.size()), 0});
    if (place_ != Place::trailer) stored_->update(frame.data(), frame.size());
  }

  /// A header or trailer from its JSON; what is missing in it is damage like any other.
  template <class Value>
  Value parse_body(std::string_view body, Value (*from_json)(const Json&)) const {
    try {
      return from_json(Json::parse(body, "JSON of a Gristmill frame"));
    } catch (const Error& error) {
      damaged(error.what());
    }
  }

  void start_shard(std::string_view body) {
    if (place_ == Place::foreign)
      damaged("a shard behind zstd data that is no shard; give them as two files");
    if (place_ != Place::start) damaged("a second header inside a shard: the first shard has no trailer");
    start_segment("shard");
    segment_.header = parse_body(body, header_from_json);
    stored_.emplace();
    frames_.clear();
    place_ = Place::data;
  }

  void add_index(std::string_view body) {
    if (place_ != Place::data && place_ != Place::index)
      damaged("an index without a header: the beginning is missing");
    if (segment_.header->schema == kTokens) segment_.index += body;
    place_ = Place::index;
  }

  void end_data(std::string_view body) {
    if (place_ != Place::data && place_ != Place::index)
      damaged("a trailer without a header: the beginning is missing");
    Trailer trailer = parse_body(body, trailer_from_json);
    uint64_t stored = 0;
    for (const auto& frame : frames_) stored += frame.stored;
    if (trailer.bytes != segment_.trailer.bytes || trailer.digest != digest_->digest()) {
      damaged(str("the trailer tells of ", trailer.bytes, " bytes of data, but other data stands before it"));
    }
    if (trailer.stored_bytes != stored || trailer.stored_digest != stored_->digest()) {
      damaged("the checksum of the stored bytes does not match");
    }
    segment_.trailer = std::move(trailer);
    place_ = Place::trailer;
  }

  /// A skippable frame that is not ours; true if it was the seek table that ends a shard.
  bool read_skippable(uint32_t magic) {
    if (place_ == Place::trailer) {
      const std::string expected = seek_table(frames_);
      if (read_whole_frame(expected.size()) != expected) damaged("the seek table does not match the frames");
      place_ = Place::start;
      stored_.reset();
      ++shards_;
      return true;
    }
    if (in_shard()) damaged(str("an unknown frame (number ", magic & 15U, ") inside a shard"));
    if (place_ == Place::start) start_foreign();
    skip_frame();
    return false;
  }

  void skip_frame() {
    const std::string_view head = source_.peek(kFrameHead);
    if (head.size() < kFrameHead) cut();
    for (uint64_t left = kFrameHead + uint64_t{load_u32(head, 4)}; left > 0;) {
      const size_t bytes = source_.available().size();
      if (bytes == 0) cut();
      const auto part = static_cast<size_t>(std::min<uint64_t>(left, bytes));
      source_.take(part);
      left -= part;
    }
  }

  std::unique_ptr<ZSTD_DCtx, FreeContext> context_;
  std::vector<char> out_;
  Place place_ = Place::start;
  bool in_frame_ = false, output_full_ = false;
  uint64_t frame_start_ = 0, frame_stored_ = 0, frame_decoded_ = 0;
  std::vector<FrameSize> frames_;
  std::optional<Xxh64Stream> stored_;
  uint64_t shards_ = 0;
};

}  // namespace

std::unique_ptr<Decoder> open_zstd(ByteSource& source) { return std::make_unique<ZstdDecoder>(source); }

}  // namespace gristmill::shard

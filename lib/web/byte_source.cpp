#include "web/byte_source.hpp"

#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <vector>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/hash.hpp"

namespace gristmill::web {

namespace {

constexpr size_t kStoredBlock = 1 << 18;
constexpr const char* kAdvice = "; the records before it are good, fetch the file again for the rest";

enum class Format { unknown, plain, gzip, zstd };

Format sniff(const unsigned char* data, size_t size) {
  if (size >= 2 && data[0] == 0x1f && data[1] == 0x8b) return Format::gzip;
  const bool frame = size >= 4 && data[0] == 0x28 && data[1] == 0xb5 && data[2] == 0x2f && data[3] == 0xfd;
  const bool skippable =
      size >= 4 && (data[0] & 0xf0) == 0x50 && data[1] == 0x2a && data[2] == 0x4d && data[3] == 0x18;
  return frame || skippable ? Format::zstd : Format::plain;
}

}  // namespace

struct ByteSource::State {
  explicit State(const std::string& path) : file(path), stored(kStoredBlock) {}
  ~State() {
    if (inflating) ::inflateEnd(&stream);
    ::ZSTD_freeDStream(zstd);
  }

  InputFile file;
  Format format = Format::unknown;
  std::vector<char> stored;
  size_t begin = 0, end = 0;  ///< the unread part of `stored`
  uint64_t file_bytes = 0, decoded = 0;
  uint64_t member_offset = 0;  ///< where the current gzip member or zstd frame starts
  bool file_ended = false, in_member = false;
  bool clean = true;  ///< what was handed out ends with a whole member
  std::optional<Error> error;
  z_stream stream{};
  bool inflating = false;
  ZSTD_DStream* zstd = nullptr;
  Xxh64Stream hash;

  uint64_t offset() const { return file_bytes - (end - begin); }

  /// Makes at least `want` stored bytes available unless the file ends before.
  void fill(size_t want) {
    while (end - begin < want && !file_ended) {
      if (begin > 0) std::memmove(stored.data(), stored.data() + begin, end - begin);
      end -= begin;
      begin = 0;
      const size_t got = file.read(stored.data() + end, stored.size() - end);
      file_ended = got == 0;
      end += got;
      file_bytes += got;
    }
  }

  void damage(const std::string& what) {
    error.emplace(Kind::input, str("damaged ", format == Format::zstd ? "zstd frame" : "gzip member", " in ",
                                   file.name(), " at byte ", offset(), " (", what, "; it starts at byte ",
                                   member_offset, ")", kAdvice));
  }

  size_t read_plain(char* out, size_t size) {
    fill(1);
    const size_t count = std::min(size, end - begin);
    std::memcpy(out, stored.data() + begin, count);
    begin += count;
    return count;
  }

  /// True when another gzip member starts here; zero bytes that only pad the file are passed over.
  bool start_member() {
    for (fill(2); end > begin && stored[begin] == 0; fill(2)) ++begin;
    if (begin == end) return false;
    member_offset = offset();
    if (sniff(reinterpret_cast<unsigned char*>(stored.data()) + begin, end - begin) != Format::gzip) {
      damage("neither another member nor the end");
      return false;
    }
    if ((inflating ? ::inflateReset(&stream) : ::inflateInit2(&stream, MAX_WBITS + 16)) != Z_OK) {
      fail(Kind::internal, "zlib cannot be initialised");
    }
    inflating = in_member = true;
    return true;
  }

  size_t read_gzip(char* out, size_t size) {
    size_t produced = 0;
    while (produced < size && !error) {
      if (!in_member && !start_member()) break;
      fill(1);
      if (begin == end) {
        damage("cut off");
        break;
      }
      stream.next_in = reinterpret_cast<Bytef*>(stored.data()) + begin;
      stream.avail_in = static_cast<uInt>(end - begin);
      stream.next_out = reinterpret_cast<Bytef*>(out) + produced;
      const size_t room = std::min(size - produced, size_t{1} << 30);
      stream.avail_out = static_cast<uInt>(room);
      const int status = ::inflate(&stream, Z_NO_FLUSH);
      begin = end - stream.avail_in;
      produced += room - stream.avail_out;
      if (status == Z_STREAM_END) {
        in_member = false;
        clean = true;
        // Hand over what there is: a member is usually a record, and the next may not be there yet in a pipe.
        if (produced > 0) break;
      } else if (status != Z_OK) {
        damage(stream.msg != nullptr ? stream.msg : "broken");
      }
    }
    if (in_member && produced > 0) clean = false;
    return produced;
  }

  size_t read_zstd(char* out, size_t size) {
    if (zstd == nullptr) zstd = ::ZSTD_createDStream();
    ZSTD_outBuffer output{out, size, 0};
    while (output.pos == 0 && !error) {
      fill(1);
      if (begin == end) {
        if (in_member) damage("cut off");
        break;
      }
      if (!in_member) member_offset = offset();
      ZSTD_inBuffer input{stored.data() + begin, end - begin, 0};
      const size_t status = ::ZSTD_decompressStream(zstd, &output, &input);
      begin += input.pos;
      if (::ZSTD_isError(status) != 0) {
        damage(::ZSTD_getErrorName(status));
      } else {
        in_member = status != 0;
        if (!in_member || output.pos > 0) clean = !in_member;
      }
    }
    return output.pos;
  }
};

ByteSource::ByteSource(const std::string& path) : state_(std::make_unique<State>(path)) {}
ByteSource::~ByteSource() = default;
ByteSource::ByteSource(ByteSource&&) noexcept = default;

size_t ByteSource::read(char* out, size_t size) {
  auto& s = *state_;
  if (s.error) throw *s.error;
  if (s.format == Format::unknown) {
    s.fill(4);
    s.format = sniff(reinterpret_cast<unsigned char*>(s.stored.data()) + s.begin, s.end - s.begin);
  }
  size_t count = 0;
  if (s.format == Format::plain) count = s.read_plain(out, size);
  if (s.format == Format::gzip) count = s.read_gzip(out, size);
  if (s.format == Format::zstd) count = s.read_zstd(out, size);
  if (count == 0 && s.error) throw *s.error;
  s.decoded += count;
  s.hash.update(out, count);
  return count;
}

const std::string& ByteSource::name() const { return state_->file.name(); }
bool ByteSource::at_member_end() const { return state_->clean; }
uint64_t ByteSource::stored_bytes() const { return state_->file_bytes; }
uint64_t ByteSource::decoded_bytes() const { return state_->decoded; }
uint64_t ByteSource::digest() const { return state_->hash.digest(); }

}  // namespace gristmill::web

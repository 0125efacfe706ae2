#pragma once

// Decoded bytes of one input, whatever it is: our shards, zstd, gzip or plain text, told apart by their first
// bytes and never by their name. Private to lib/shard.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/hash.hpp"
#include "shard/byte_source.hpp"
#include "shard/format.hpp"
#include "shard/header.hpp"

namespace gristmill::shard {

enum class Event {
  data,         ///< a piece of decoded bytes
  segment_end,  ///< a shard (or a foreign input) has ended and is whole; segment() tells of it
  end,          ///< nothing more in this input
};

/// What is known of a shard, or of a foreign input, at its end.
struct Segment {
  std::string format;            ///< "shard", "zstd", "gzip", "plain"
  std::optional<Header> header;  ///< of a shard
  Trailer trailer;               ///< of a foreign input: bytes and digest only
  std::string index;             ///< of a token shard
};

class Decoder {
 public:
  explicit Decoder(ByteSource& source) : source_(source) {}
  virtual ~Decoder() = default;
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  /// The next event; `chunk` stays valid until the next call. Damage is Error{input}.
  virtual Event next(std::string_view& chunk) = 0;
  /// The header of the shard that the last chunk came from.
  virtual const std::optional<Header>& header() const;
  /// After segment_end.
  const Segment& segment() const { return segment_; }

 protected:
  void count(std::string_view chunk) {
    segment_.trailer.bytes += chunk.size();
    digest_->update(chunk.data(), chunk.size());
  }
  void start_segment(const char* format) {
    segment_ = Segment{format, std::nullopt, {}, {}};
    digest_.emplace();
  }

  ByteSource& source_;
  Segment segment_;
  std::optional<Xxh64Stream> digest_;
};

/// Chooses by the first bytes. Formats that are known but not read (xz, bzip2, …) are Error{input}.
std::unique_ptr<Decoder> open_decoder(ByteSource& source);

std::unique_ptr<Decoder> open_plain(ByteSource& source);
std::unique_ptr<Decoder> open_gzip(ByteSource& source);
std::unique_ptr<Decoder> open_zstd(ByteSource& source);

}  // namespace gristmill::shard

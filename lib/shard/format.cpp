#include "shard/format.hpp"

#include <charconv>
#include <system_error>

#include "base/error.hpp"
#include "base/hash.hpp"
#include "base/str.hpp"

namespace gristmill::shard {

namespace {

constexpr size_t kTagAt = 8, kVersionAt = 16, kKindAt = 20, kBodyAt = 24, kChecksumBytes = 8;

uint64_t parse_hex64(const std::string& text) {
  uint64_t value = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (text.size() != 16 || result.ec != std::errc() || result.ptr != text.data() + text.size()) {
    fail(Kind::input, "\"", in_quotes(text), "\" is no 64-bit hash");
  }
  return value;
}

}  // namespace

void append_u32(std::string& out, uint32_t value) {
  for (int i = 0; i < 4; ++i) out += static_cast<char>((value >> (8 * i)) & 0xFF);
}

void append_u64(std::string& out, uint64_t value) {
  for (int i = 0; i < 8; ++i) out += static_cast<char>((value >> (8 * i)) & 0xFF);
}

uint32_t load_u32(std::string_view bytes, size_t at) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value |= uint32_t{static_cast<unsigned char>(bytes[at + i])} << (8 * i);
  return value;
}

uint64_t load_u64(std::string_view bytes, size_t at) {
  return load_u32(bytes, at) | (uint64_t{load_u32(bytes, at + 4)} << 32);
}

std::string own_frame(FrameKind kind, std::string_view body) {
  std::string frame;
  frame.reserve(body.size() + kOwnOverhead);
  append_u32(frame, kOwnMagic);
  append_u32(frame, static_cast<uint32_t>(body.size() + kOwnOverhead - kFrameHead));
  frame += kTag;
  append_u32(frame, kFormatVersion);
  append_u32(frame, static_cast<uint32_t>(kind));
  frame += body;
  append_u64(frame, xxh64(frame));
  return frame;
}

std::string seek_table(const std::vector<FrameSize>& frames) {
  constexpr size_t kEntry = 8, kFooter = 9;
  constexpr size_t kMostFrames = 0x8000000;  // the limit of zstd's own reader
  if (frames.size() > kMostFrames) {
    fail(Kind::input, "a shard of more than ", kMostFrames, " frames: write several smaller shards");
  }
  std::string table;
  table.reserve(kFrameHead + frames.size() * kEntry + kFooter);
  append_u32(table, kSeekTableMagic);
  append_u32(table, static_cast<uint32_t>(frames.size() * kEntry + kFooter));
  for (const auto& frame : frames) {
    append_u32(table, frame.stored);
    append_u32(table, frame.decoded);
  }
  append_u32(table, static_cast<uint32_t>(frames.size()));
  table += '\0';  // no checksums: the frames carry their own
  append_u32(table, kSeekFooterMagic);
  return table;
}

uint64_t own_frame_limit(std::string_view start) {
  if (start.size() < kBodyAt) return kMaxHeaderBytes;
  switch (static_cast<FrameKind>(load_u32(start, kKindAt))) {
    case FrameKind::trailer:
      return kMaxTrailerBytes;
    case FrameKind::index:
      return kMaxIndexBytes + kOwnOverhead;
    default:
      return kMaxHeaderBytes;
  }
}

OwnFrame parse_own_frame(std::string_view frame, std::string_view where) {
  if (frame.size() < kOwnOverhead) fail(Kind::input, where, ": damaged: a frame of ", frame.size(), " bytes");
  if (frame.substr(kTagAt, kTag.size()) != kTag) fail(Kind::input, where, ": damaged: not a Gristmill frame");
  const size_t checked = frame.size() - kChecksumBytes;
  if (load_u64(frame, checked) != xxh64(frame.substr(0, checked)) || load_u32(frame) != kOwnMagic) {
    fail(Kind::input, where, ": damaged: the checksum of a Gristmill frame does not match");
  }
  // Behind the checksum, so that another version is one and no flipped bit.
  if (const uint32_t version = load_u32(frame, kVersionAt); version != kFormatVersion) {
    fail(Kind::input, where, ": shard format version ", version, ", but this program reads version ",
         kFormatVersion, "; use the Gristmill that wrote it");
  }
  const uint32_t kind = load_u32(frame, kKindAt);
  if (kind < 1 || kind > 3) fail(Kind::input, where, ": a frame of unknown kind ", kind);
  return {static_cast<FrameKind>(kind), frame.substr(kBodyAt, checked - kBodyAt)};
}

Json to_json(const Header& header) {
  Json json = Json::object();
  json["schema"] = header.schema;
  json["tool"] = header.tool;
  json["version"] = header.version;
  json["seed"] = header.seed;
  json["options"] = header.options;
  json["extra"] = header.extra;
  return json;
}

Header header_from_json(const Json& json) {
  Header header;
  header.schema = json.at("schema").as_string();
  header.tool = json.at("tool").as_string();
  header.version = json.at("version").as_string();
  header.seed = json.at("seed").as_uint();
  header.options = json.at("options");
  header.extra = json.at("extra");
  return header;
}

Json to_json(const Trailer& trailer) {
  Json json = Json::object();
  json["records"] = trailer.records;
  json["bytes"] = trailer.bytes;
  json["xxh64"] = format_hex64(trailer.digest);
  json["stored_bytes"] = trailer.stored_bytes;
  json["stored_xxh64"] = format_hex64(trailer.stored_digest);
  json["inputs"] = trailer.inputs;
  return json;
}

Trailer trailer_from_json(const Json& json) {
  Trailer trailer;
  trailer.records = json.at("records").as_uint();
  trailer.bytes = json.at("bytes").as_uint();
  trailer.digest = parse_hex64(json.at("xxh64").as_string());
  trailer.stored_bytes = json.at("stored_bytes").as_uint();
  trailer.stored_digest = parse_hex64(json.at("stored_xxh64").as_string());
  trailer.inputs = json.at("inputs");
  return trailer;
}

}  // namespace gristmill::shard

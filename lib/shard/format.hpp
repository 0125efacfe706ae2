#pragma once

// The container's own frames, as bytes (docs/shard-format.md is the grammar). Private to lib/shard.
//
// Each is a zstd skippable frame, which every zstd decoder passes over:
//   u32 magic 0x184D2A57 | u32 size of the rest | "GRISTMIL" | u32 version | u32 kind | body | u64 xxh64 of
//   all before
// The checksum covers the magic and the size too: no bit of a shard is without a check.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.hpp"
#include "shard/header.hpp"

namespace gristmill::shard {

inline constexpr uint32_t kZstdMagic = 0xFD2FB528;
inline constexpr uint32_t kSkippableMagic = 0x184D2A50;  ///< the last four bits are free
inline constexpr uint32_t kOwnMagic = 0x184D2A57;
inline constexpr uint32_t kSeekTableMagic = 0x184D2A5E;
inline constexpr uint32_t kSeekFooterMagic = 0x8F92EAB1;
inline constexpr std::string_view kTag = "GRISTMIL";
inline constexpr uint32_t kFormatVersion = 1;
inline constexpr size_t kFrameHead = 8;     ///< magic and size of a skippable frame
inline constexpr size_t kOwnOverhead = 32;  ///< of an own frame: head, tag, version, kind, checksum
inline constexpr uint64_t kMaxHeaderBytes = uint64_t{16} << 20;
inline constexpr uint64_t kMaxIndexBytes = uint64_t{16} << 20;  ///< of one frame; a long index takes several
inline constexpr uint64_t kMaxTrailerBytes = uint64_t{64} << 20;

enum class FrameKind : uint32_t { header = 1, index = 2, trailer = 3 };

/// One line of the seek table.
struct FrameSize {
  uint32_t stored = 0, decoded = 0;
};

void append_u32(std::string& out, uint32_t value);
void append_u64(std::string& out, uint64_t value);
uint32_t load_u32(std::string_view bytes, size_t at = 0);
uint64_t load_u64(std::string_view bytes, size_t at = 0);

inline bool is_skippable(uint32_t magic) { return (magic & 0xFFFFFFF0U) == kSkippableMagic; }

std::string own_frame(FrameKind kind, std::string_view body);
std::string seek_table(const std::vector<FrameSize>& frames);

struct OwnFrame {
  FrameKind kind;
  std::string_view body;  ///< points into the frame
};

/// Checks a whole own frame, head included. Error{input} that starts with `where`.
OwnFrame parse_own_frame(std::string_view frame, std::string_view where);
/// The largest size of an own frame that starts with these bytes (up to the kind).
uint64_t own_frame_limit(std::string_view start);

/// What the trailer says of the shard.
struct Trailer {
  uint64_t records = 0;
  uint64_t bytes = 0;          ///< decoded
  uint64_t digest = 0;         ///< xxh64 of the decoded bytes
  uint64_t stored_bytes = 0;   ///< of all frames before the trailer
  uint64_t stored_digest = 0;  ///< xxh64 of them
  Json inputs = Json::array();
};

Json to_json(const Header& header);
Header header_from_json(const Json& json);
Json to_json(const Trailer& trailer);
Trailer trailer_from_json(const Json& json);

}  // namespace gristmill::shard

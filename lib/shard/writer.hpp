#pragma once

// Writes a shard in one pass, to a file or a pipe. Compression runs on several threads; the bytes do not
// depend on how many.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/json.hpp"
#include "shard/header.hpp"

namespace gristmill::shard {

struct WriterOptions {
  int threads = 1;
  int level = 3;                   ///< zstd compression level
  uint64_t frame_bytes = 1 << 20;  ///< decoded size at which a frame is closed (at a record's end)
  bool plain =
      false;  ///< bare JSON Lines without container; chosen by writer_options() for paths ending in .jsonl
};

/// The options a path asks for: plain for "….jsonl", the container otherwise.
WriterOptions writer_options(const std::string& path, int threads);

/// Records to one output. Without close() the output has no trailer (a pipe's reader fails) or does not
/// appear at all (a file).
class Writer {
 public:
  Writer(const std::string& path, const Header& header, const WriterOptions& options = {});
  ~Writer();
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  /// Appends one record; a newline is added.
  void write(std::string_view record);
  /// Appends raw bytes of a binary schema (token ids), counted as `records` records. Frames are cut at
  /// multiples of frame_bytes.
  void write_bytes(const void* data, size_t size, uint64_t records);
  /// Adds a schema-specific index block behind the data (document starts).
  void set_index(std::string index);
  /// Writes the trailer with the provenance of the inputs (Reader::provenance()) and closes.
  void close(const Json& provenance);

  uint64_t bytes_written() const;  ///< stored bytes so far
  uint64_t records_written() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace gristmill::shard

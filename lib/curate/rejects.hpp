#pragma once

// Where dropped records go (--rejects FILE): documents with the reason in their metadata, and what was no
// document as
// {"reason":"bad_record","error":…,"line":…}.

#include <memory>
#include <string>
#include <string_view>

#include "base/json.hpp"
#include "shard/writer.hpp"

namespace gristmill::curate {

inline constexpr const char* kBadRecord = "bad_record";

class Rejects {
 public:
  /// `header` as that of the stage's output.
  Rejects(const std::string& path, const shard::Header& header, int threads);

  void write(std::string_view line) { writer_.write(line); }
  void close(const Json& provenance) { writer_.close(provenance); }

 private:
  shard::Writer writer_;
};

/// Null for an empty path.
std::unique_ptr<Rejects> open_rejects(const std::string& path, const shard::Header& header, int threads);

/// The line that stands for an unreadable record. Bytes that are no UTF-8 become U+FFFD.
std::string bad_record_line(std::string_view line, std::string_view error);

}  // namespace gristmill::curate

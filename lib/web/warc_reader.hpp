#pragma once

// Reads WARC files (0.17 to 1.1; plain, gzip or zstd): records of
//
//   WARC/1.0 CRLF  (name ": " value CRLF)*  CRLF  block of Content-Length bytes  CRLF CRLF
//
// Crawls in the wild are not that clean, so: line ends may be LF alone, URIs may stand in <>, and a wrong
// Content-Length is noticed because no record follows the block; the reader then goes on at the next record.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gristmill::web {

struct WarcOptions {
  uint64_t max_record_bytes = uint64_t{64} << 20;  ///< a longer record is passed over and marked
};

/// What is wrong with a record, for the caller to count.
enum class RecordFault { none, damaged, too_large };

struct WarcRecord {
  std::string type;  ///< lower case: "response", "request", "warcinfo", "conversion", …
  std::string id;    ///< WARC-Record-ID without <>
  std::string uri;   ///< WARC-Target-URI without <>
  std::string date;  ///< WARC-Date as it stands
  std::string content_type;
  std::string block;    ///< the content; empty if too_large
  uint64_t offset = 0;  ///< of the record in the decoded file
  RecordFault fault = RecordFault::none;
  std::vector<std::pair<std::string, std::string>> headers;  ///< all of them, names as they stand
};

class WarcReader {
 public:
  explicit WarcReader(const std::string& path, const WarcOptions& options = {});
  ~WarcReader();
  WarcReader(WarcReader&&) noexcept;

  /// The next record; false at the end. A record is handed out only once the compressed member it ends was
  /// checked. A file that is no WARC file, is cut off or has a damaged member is Error{input}.
  bool next(WarcRecord& record);

  const std::string& name() const;
  uint64_t stored_bytes() const;
  uint64_t decoded_bytes() const;
  uint64_t records_read() const;
  uint64_t digest() const;  ///< XXH64 of the decoded file so far

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// "<http://…>" without its brackets (wget writes them, the standard's grammar asks for them).
std::string_view strip_brackets(std::string_view text);

}  // namespace gristmill::web

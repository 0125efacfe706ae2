#pragma once

// A recorded HTTP response: status line, fields, body, and the body's decoding. Crawlers store bodies as
// sent, already de-chunked, or already decompressed, and seldom change the fields accordingly: each
// transformation is undone only where the bytes look as if it was applied, and noted where the fields said
// otherwise.

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gristmill::web {

struct HttpResponse {
  int status = 0;
  std::vector<std::pair<std::string_view, std::string_view>> headers;  ///< views into the parsed block
  std::string_view body;                                               ///< as stored

  /// The first field of that name (any case), or empty.
  std::string_view header(std::string_view name) const;
};

/// Splits a recorded response; false if it has no status line. Line ends may be LF alone.
bool parse_http_response(std::string_view block, HttpResponse& response);

struct HttpBody {
  std::string bytes;
  bool not_chunked = false;     ///< declared chunked, stored plain
  bool not_compressed = false;  ///< declared compressed, stored plain
  bool cut = false;             ///< chunks or compressed data end early; `bytes` is what there was
  bool unsupported = false;     ///< compressed with a method we do not have; `bytes` is empty
  bool too_large = false;       ///< decodes to more than the limit; `bytes` is empty
};

/// Undoes Transfer-Encoding and Content-Encoding (gzip, deflate, zstd), up to `limit` bytes.
HttpBody decode_body(const HttpResponse& response, uint64_t limit);

/// The media type of a Content-Type value in lower case, without parameters.
std::string media_type(std::string_view content_type);
/// The charset parameter of a Content-Type value, or empty.
std::string charset_parameter(std::string_view content_type);

}  // namespace gristmill::web

#include "web/http.hpp"

#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <optional>

#include "base/str.hpp"

namespace gristmill::web {

namespace {

constexpr size_t kInflateBlock = 1 << 16;
constexpr size_t kMaxHeaders = 1000;

/// Takes a line off the front, without its line end.
std::string_view take_line(std::string_view& text) {
  const size_t end = text.find('\n');
  std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  return line;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// A chunk-size line: up to 16 hexadecimal digits, then nothing, spaces or an extension.
std::optional<uint64_t> chunk_size(std::string_view line) {
  uint64_t size = 0;
  size_t digits = 0;
  while (digits < line.size() && hex_digit(line[digits]) >= 0) {
    if (digits == 15) return std::nullopt;
    size = size * 16 + static_cast<uint64_t>(hex_digit(line[digits++]));
  }
  const std::string_view rest = strip(line.substr(digits));
  if (digits == 0 || (!rest.empty() && rest.front() != ';')) return std::nullopt;
  return size;
}

/// Joins chunks. A body whose first line is no chunk size was stored de-chunked; where a later one is none,
/// the rest is taken as it stands, since losing it would be worse than a stray size line.
std::string join_chunks(std::string_view body, HttpBody& result) {
  std::string joined;
  bool first = true;
  while (!body.empty()) {
    const std::string_view before = body;
    const auto size = chunk_size(take_line(body));
    if (!size) {
      (first ? result.not_chunked : result.cut) = true;
      joined.append(before);
      return joined;
    }
    first = false;
    if (*size == 0) return joined;
    const size_t count = static_cast<size_t>(std::min<uint64_t>(*size, body.size()));
    joined.append(body.substr(0, count));
    body.remove_prefix(count);
    if (count < *size) break;
    if (body.substr(0, 1) == "\r") body.remove_prefix(1);
    if (body.substr(0, 1) == "\n") body.remove_prefix(1);
  }
  result.cut = true;  // no closing chunk
  return joined;
}

bool looks_gzip(std::string_view body) { return body.size() >= 2 && body[0] == '\x1f' && body[1] == '\x8b'; }
bool looks_zlib(std::string_view body) {
  if (body.size() < 2 || (body[0] & 0x0f) != 8) return false;
  return (static_cast<unsigned char>(body[0]) * 256u + static_cast<unsigned char>(body[1])) % 31 == 0;
}
bool looks_zstd(std::string_view body) { return body.substr(0, 4) == "\x28\xb5\x2f\xfd"; }

/// Inflates with zlib's `window` (16 + 15 gzip, 15 zlib, -15 bare). False if not a byte came out.
bool inflate_body(std::string_view body, int window, uint64_t limit, HttpBody& result) {
  z_stream stream{};
  if (body.size() > UINT32_MAX || ::inflateInit2(&stream, window) != Z_OK) return false;
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(body.data()));
  stream.avail_in = static_cast<uInt>(body.size());
  std::string out;
  int status = Z_OK;
  while (status == Z_OK && out.size() <= limit) {
    const size_t old = out.size();
    out.resize(old + kInflateBlock);
    stream.next_out = reinterpret_cast<Bytef*>(out.data()) + old;
    stream.avail_out = kInflateBlock;
    status = ::inflate(&stream, Z_NO_FLUSH);
    out.resize(old + kInflateBlock - stream.avail_out);
    if (stream.avail_in == 0 && stream.avail_out > 0) break;
  }
  ::inflateEnd(&stream);
  if (out.empty()) return false;
  result.too_large = out.size() > limit;
  result.cut = result.cut || status != Z_STREAM_END;
  result.bytes = result.too_large ? std::string() : std::move(out);
  return true;
}

bool unzstd_body(std::string_view body, uint64_t limit, HttpBody& result) {
  ZSTD_DStream* stream = ::ZSTD_createDStream();
  ZSTD_inBuffer input{body.data(), body.size(), 0};
  std::string out;
  size_t status = 1;
  while (out.size() <= limit && status != 0) {
    const size_t old = out.size();
    out.resize(old + kInflateBlock);
    ZSTD_outBuffer output{out.data() + old, kInflateBlock, 0};
    status = ::ZSTD_decompressStream(stream, &output, &input);
    out.resize(old + output.pos);
    if (::ZSTD_isError(status) != 0 || (output.pos < kInflateBlock && input.pos == input.size)) break;
  }
  ::ZSTD_freeDStream(stream);
  if (out.empty()) return false;
  result.too_large = out.size() > limit;
  result.cut = result.cut || status != 0;
  result.bytes = result.too_large ? std::string() : std::move(out);
  return true;
}

/// Bytes of markup, not of a compressed stream: some tag, and no NUL among the first kilobyte.
bool looks_like_text(std::string_view body) {
  const std::string_view head = body.substr(0, 1024);
  return head.find('<') != std::string_view::npos && head.find('\0') == std::string_view::npos;
}

}  // namespace

std::string_view HttpResponse::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (equals_ignoring_case(key, name)) return value;
  }
  return {};
}

bool parse_http_response(std::string_view block, HttpResponse& response) {
  response = HttpResponse{};
  if (block.substr(0, 5) != "HTTP/") return false;
  const std::string_view status_line = take_line(block);
  const size_t space = status_line.find(' ');
  if (space == std::string_view::npos) return false;
  const std::string_view rest = strip(status_line.substr(space));
  const auto status = parse_uint(rest.substr(0, rest.find(' ')));
  if (!status || *status > 999) return false;
  response.status = static_cast<int>(*status);
  while (!block.empty()) {
    const std::string_view line = take_line(block);
    if (line.empty()) break;
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos || response.headers.size() == kMaxHeaders) continue;
    response.headers.emplace_back(strip(line.substr(0, colon)), strip(line.substr(colon + 1)));
  }
  response.body = block;
  return true;
}

HttpBody decode_body(const HttpResponse& response, uint64_t limit) {
  HttpBody result;
  std::string joined;
  std::string_view body = response.body;
  if (equals_ignoring_case(response.header("transfer-encoding"), "chunked")) {
    joined = join_chunks(body, result);
    body = joined;
  }
  const std::string encoding = to_lower_ascii(response.header("content-encoding"));
  const bool declared = !encoding.empty() && encoding != "identity";
  if (looks_gzip(body) && inflate_body(body, MAX_WBITS + 16, limit, result)) return result;
  if (declared && looks_zstd(body) && unzstd_body(body, limit, result)) return result;
  if (encoding == "deflate" && looks_zlib(body) && inflate_body(body, MAX_WBITS, limit, result))
    return result;
  if (declared && !looks_like_text(body)) {
    if (encoding == "deflate" && inflate_body(body, -MAX_WBITS, limit, result)) return result;
    result.unsupported = !body.empty();
    return result;
  }
  result.not_compressed = declared && !body.empty();
  result.too_large = body.size() > limit;
  if (!result.too_large) result.bytes.assign(body);
  return result;
}

std::string media_type(std::string_view content_type) {
  return to_lower_ascii(strip(content_type.substr(0, content_type.find(';'))));
}

std::string charset_parameter(std::string_view content_type) {
  const std::string lower = to_lower_ascii(content_type);
  for (size_t at = lower.find("charset"); at != std::string::npos; at = lower.find("charset", at + 1)) {
    std::string_view rest = strip(std::string_view(lower).substr(at + 7));
    if (rest.empty() || rest.front() != '=') continue;
    rest = strip(rest.substr(1));
    const char quote = rest.empty() ? '\0' : rest.front();
    if (quote == '"' || quote == '\'') {
      rest.remove_prefix(1);
      const size_t end = rest.find(quote);
      return end == std::string_view::npos ? std::string() : std::string(strip(rest.substr(0, end)));
    }
    return std::string(rest.substr(0, rest.find_first_of("; \t\r\n,")));
  }
  return {};
}

}  // namespace gristmill::web

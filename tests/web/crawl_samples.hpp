#pragma once

// WARC records, HTTP messages and gzip members made on the spot, and a scratch folder to put them in.

#include <zlib.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "base/str.hpp"
#include "support/catch.hpp"

namespace gristmill::test {

inline std::string warc_record(std::string_view type, std::string_view uri, std::string_view block,
                               std::string_view content_type = "application/http;msgtype=response",
                               std::string_view id = "<urn:uuid:00000000-0000-0000-0000-000000000001>") {
  return str("WARC/1.0\r\nWARC-Type: ", type, "\r\nWARC-Target-URI: ", uri, "\r\nWARC-Record-ID: ", id,
             "\r\nWARC-Date: 2026-01-02T03:04:05Z\r\nContent-Type: ", content_type,
             "\r\nContent-Length: ", block.size(), "\r\n\r\n", block, "\r\n\r\n");
}

inline std::string http_response(std::string_view body,
                                 std::string_view headers = "Content-Type: text/html\r\n",
                                 std::string_view status = "200 OK") {
  return str("HTTP/1.1 ", status, "\r\n", headers, "\r\n", body);
}

/// zlib at `window` bits: 31 gzip, 15 zlib, -15 bare deflate.
inline std::string deflate_text(std::string_view text, int window = 31) {
  z_stream stream{};
  REQUIRE(deflateInit2(&stream, 6, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string out(deflateBound(&stream, static_cast<uLong>(text.size())) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  REQUIRE(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

/// A folder that goes away with the test.
class Scratch {
 public:
  Scratch() {
    std::string name = (std::filesystem::temp_directory_path() / "gristmill-web-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    folder_ = name;
  }
  ~Scratch() { std::filesystem::remove_all(folder_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  std::string write(const std::string& name, std::string_view content) const {
    std::ofstream file(folder_ / name, std::ios::binary);
    file << content;
    return path(name);
  }

 private:
  std::filesystem::path folder_;
};

}  // namespace gristmill::test

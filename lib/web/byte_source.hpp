#pragma once

// The decoded bytes of a crawl file: plain, gzip (any number of members) or zstd (any number of frames), told
// apart by the first bytes, read as a stream so that a pipe works as well as a file.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace gristmill::web {

class ByteSource {
 public:
  /// Opens a path, or standard input for "-".
  explicit ByteSource(const std::string& path);
  ~ByteSource();
  ByteSource(ByteSource&&) noexcept;

  /// Reads up to `size` decoded bytes; 0 only at the end. Damage is Error{input} (what, file, offset), thrown
  /// only after every byte before it was handed out.
  size_t read(char* out, size_t size);

  /// True if the bytes handed out so far end with a whole, checked member (or frame); always true of a plain
  /// file.
  bool at_member_end() const;
  const std::string& name() const;
  uint64_t stored_bytes() const;   ///< read from the file so far
  uint64_t decoded_bytes() const;  ///< handed out so far
  uint64_t digest() const;         ///< XXH64 of what was handed out

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace gristmill::web

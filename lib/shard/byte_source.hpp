#pragma once

// A buffered input that can be looked at before it is taken. Private to lib/shard.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.hpp"

namespace gristmill::shard {

class ByteSource {
 public:
  explicit ByteSource(const std::string& path) : file_(path), buffer_(kCapacity) {}

  /// The next `size` bytes (at most kMaxPeek) without taking them; fewer only at the end.
  std::string_view peek(size_t size);
  /// All bytes at hand, at least one; none only at the end.
  std::string_view available();
  /// The bytes at hand, possibly none, without reading.
  std::string_view buffered() const { return {buffer_.data() + start_, end_ - start_}; }
  void take(size_t size) {
    start_ += size;
    taken_ += size;
  }
  uint64_t taken() const { return taken_; }
  const std::string& name() const { return file_.name(); }
  bool is_pipe() const { return file_.is_pipe(); }

  static constexpr size_t kMaxPeek = 4096;

 private:
  static constexpr size_t kCapacity = 256 << 10;
  InputFile file_;
  std::vector<char> buffer_;
  size_t start_ = 0, end_ = 0;
  uint64_t taken_ = 0;
};

}  // namespace gristmill::shard

#pragma once

// Records set aside on disk for a second look, in a temporary file of TMPDIR that has no name and therefore
// goes when the process goes, however it ends.

#include <cstdint>
#include <string>
#include <string_view>

namespace gristmill::curate {

class Spool {
 public:
  Spool();
  ~Spool();
  Spool(const Spool&) = delete;
  Spool& operator=(const Spool&) = delete;

  /// Appends bytes and returns where they start.
  uint64_t append(std::string_view bytes);
  /// Ends writing; read() comes after it.
  void flush();
  /// The `size` bytes that start at `offset`. Safe from several threads.
  std::string read(uint64_t offset, uint64_t size) const;
  uint64_t size() const { return size_; }

 private:
  int descriptor_ = -1;
  std::string folder_, buffer_;
  uint64_t size_ = 0;
};

}  // namespace gristmill::curate

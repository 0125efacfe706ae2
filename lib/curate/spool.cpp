#include "curate/spool.hpp"

#include <stdlib.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "base/error.hpp"

namespace gristmill::curate {

namespace {
constexpr size_t kBufferBytes = 1 << 20;
}

Spool::Spool() {
  folder_ = std::filesystem::temp_directory_path().string();
  std::string name = folder_ + "/gristmill-spool-XXXXXX";
  descriptor_ = ::mkostemp(name.data(), 02000000);  // O_CLOEXEC
  if (descriptor_ < 0)
    fail_errno("cannot make a temporary file (set TMPDIR to a folder with space) in", folder_);
  ::unlink(name.c_str());
}

Spool::~Spool() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

uint64_t Spool::append(std::string_view bytes) {
  const uint64_t at = size_;
  buffer_ += bytes;
  size_ += bytes.size();
  if (buffer_.size() >= kBufferBytes) flush();
  return at;
}

void Spool::flush() {
  for (size_t done = 0; done < buffer_.size();) {
    const auto written = ::write(descriptor_, buffer_.data() + done, buffer_.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0)
      fail_errno("cannot write a temporary file (set TMPDIR to a folder with space) in", folder_);
    done += static_cast<size_t>(written);
  }
  buffer_.clear();
}

std::string Spool::read(uint64_t offset, uint64_t size) const {
  std::string bytes(size, '\0');
  for (size_t done = 0; done < size;) {
    const auto got =
        ::pread(descriptor_, bytes.data() + done, size - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail_errno("cannot read back a temporary file in", folder_);
    if (got == 0)
      fail(Kind::internal, "a temporary file in ", folder_, " is shorter than what was written to it");
    done += static_cast<size_t>(got);
  }
  return bytes;
}

}  // namespace gristmill::curate

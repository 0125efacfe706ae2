#include "shard/byte_source.hpp"

#include <algorithm>
#include <cstring>

namespace gristmill::shard {

std::string_view ByteSource::peek(size_t size) {
  while (end_ - start_ < size) {
    if (buffer_.size() - start_ < kMaxPeek) {
      std::memmove(buffer_.data(), buffer_.data() + start_, end_ - start_);
      end_ -= start_;
      start_ = 0;
    }
    const size_t got = file_.read(buffer_.data() + end_, buffer_.size() - end_);
    if (got == 0) break;
    end_ += got;
  }
  return buffered().substr(0, std::min(size, end_ - start_));
}

std::string_view ByteSource::available() {
  if (start_ == end_) {
    start_ = 0;
    end_ = file_.read(buffer_.data(), buffer_.size());
  }
  return buffered();
}

}  // namespace gristmill::shard

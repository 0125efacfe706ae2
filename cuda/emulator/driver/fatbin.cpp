#include "emulator/driver/fatbin.hpp"

#include <cstring>

#include "base/error.hpp"

namespace gristmill::emulator {

namespace {

constexpr uint32_t kMagic = 0xBA55ED50;
constexpr size_t kHeader = 16, kEntryHeader = 20, kLargest = size_t{1} << 30;
constexpr uint16_t kPtx = 1;

template <class T>
T number_at(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

/// Bytes of what stands at the start of `rest`, header and content; damaged if it does not fit.
size_t entry_size(std::span<const std::byte> rest) {
  if (rest.size() < kEntryHeader) fail(Kind::input, "fatbin: cut off in the header of an entry");
  const auto header = number_at<uint32_t>(rest.data() + 4);
  const auto content = number_at<uint64_t>(rest.data() + 8);
  if (header < kEntryHeader || header > rest.size() || content > rest.size() - header) {
    fail(Kind::input, "fatbin: an entry of ", header, " + ", content, " bytes where ", rest.size(),
         " are left");
  }
  return header + static_cast<size_t>(content);
}

}  // namespace

size_t fatbin_size(const void* image) {
  const auto* bytes = static_cast<const std::byte*>(image);
  if (number_at<uint32_t>(bytes) != kMagic) fail(Kind::input, "fatbin: it does not begin like one");
  const auto header = number_at<uint16_t>(bytes + 6);
  const auto content = number_at<uint64_t>(bytes + 8);
  if (header < kHeader || content > kLargest) {
    fail(Kind::input, "fatbin: a header of ", header, " bytes and a content of ", content);
  }
  return header + static_cast<size_t>(content);
}

std::string_view fatbin_ptx(std::span<const std::byte> fatbin) {
  if (fatbin.size() < kHeader) fail(Kind::input, "fatbin: cut off in its header");
  const size_t size = fatbin_size(fatbin.data());
  if (size > fatbin.size()) fail(Kind::input, "fatbin: ", fatbin.size(), " bytes of ", size);
  auto rest = fatbin.subspan(0, size).subspan(number_at<uint16_t>(fatbin.data() + 6));
  while (!rest.empty()) {
    const size_t entry = entry_size(rest);
    const auto header = number_at<uint32_t>(rest.data() + 4);
    if (number_at<uint16_t>(rest.data()) == kPtx) {
      if (number_at<uint32_t>(rest.data() + 16) != 0) {
        fail(Kind::input, "fatbin: its PTX is compressed; compile with --no-compress");
      }
      const std::string_view text(reinterpret_cast<const char*>(rest.data()) + header, entry - header);
      return text.substr(0, text.find('\0'));
    }
    rest = rest.subspan(entry);
  }
  fail(Kind::input, "fatbin: no PTX in it");
}

}  // namespace gristmill::emulator

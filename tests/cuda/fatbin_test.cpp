#include <cstddef>
#include <cstring>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "cuda/modules.hpp"
#include "emulator/driver/fatbin.hpp"
#include "support/catch.hpp"

using namespace gristmill;
using emulator::fatbin_ptx;
using emulator::fatbin_size;

namespace {

using Bytes = std::vector<std::byte>;

template <class T>
void put(Bytes& bytes, T value) {
  const auto* at = reinterpret_cast<const std::byte*>(&value);
  bytes.insert(bytes.end(), at, at + sizeof value);
}

/// A container of entries of 24 bytes of header.
struct Entry {
  uint16_t kind;
  std::string content;
  uint32_t compressed = 0;
};
Bytes container(const std::vector<Entry>& entries) {
  Bytes content;
  for (const Entry& entry : entries) {
    put(content, entry.kind);
    put(content, uint16_t{257});
    put(content, uint32_t{24});
    put(content, uint64_t{entry.content.size()});
    put(content, entry.compressed);
    put(content, uint32_t{0});
    for (const char c : entry.content) content.push_back(static_cast<std::byte>(c));
  }
  Bytes all;
  put(all, uint32_t{0xBA55ED50});
  put(all, uint16_t{1});
  put(all, uint16_t{16});
  put(all, uint64_t{content.size()});
  all.insert(all.end(), content.begin(), content.end());
  return all;
}

bool is_refused(std::span<const std::byte> bytes) {
  try {
    fatbin_ptx(bytes);
    return false;
  } catch (const Error& error) {
    return error.kind() == Kind::input;
  }
}

}  // namespace

TEST_CASE("the PTX of a container is the text of its entry up to the first zero byte", "[cuda]") {
  const Bytes bytes = container({{2, "machine code"}, {1, std::string("text\0\0\0", 7)}, {2, "more"}});
  CHECK(fatbin_size(bytes.data()) == bytes.size());
  CHECK(fatbin_ptx(bytes) == "text");
}

TEST_CASE("a container cut anywhere before its PTX ends is refused", "[cuda]") {
  const Bytes bytes = container({{2, "machine code"}, {1, "text"}});
  for (size_t size = 0; size < bytes.size(); ++size) {
    INFO(size);
    CHECK(is_refused(std::span(bytes).first(size)));
  }
}

TEST_CASE("a container with one wrong byte gives a text inside it or is refused", "[cuda]") {
  const Bytes whole = container({{2, "machine code"}, {1, "text"}});
  for (size_t at = 0; at < whole.size(); ++at) {
    for (const int value : {0, 1, 0x7F, 0xFF}) {
      Bytes bytes = whole;
      bytes[at] = static_cast<std::byte>(value);
      try {
        const auto text = fatbin_ptx(bytes);
        const auto* begin = reinterpret_cast<const char*>(bytes.data());
        CHECK((text.data() >= begin && text.data() + text.size() <= begin + bytes.size()));
      } catch (const Error& error) {
        CHECK(error.kind() == Kind::input);
      }
    }
  }
}

TEST_CASE("containers without PTX, with a compressed one, and what is none are refused", "[cuda]") {
  CHECK(is_refused(container({})));
  CHECK(is_refused(container({{2, "machine code"}})));
  CHECK(is_refused(container({{1, "text", 99}})));
  CHECK(is_refused(Bytes(64)));
}

TEST_CASE("every module that is built in has PTX for compute_80", "[cuda]") {
  CHECK(!runtime::cuda::embedded_modules().empty());
  for (const auto& module : runtime::cuda::embedded_modules()) {
    const std::span bytes(static_cast<const std::byte*>(module.fatbin), fatbin_size(module.fatbin));
    INFO(module.name);
    CHECK(fatbin_ptx(bytes).find(".target sm_80") != std::string_view::npos);
  }
}

// Documents, conversations and preferences: any line is a record or an input error, and a record reads back.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/error.hpp"
#include "shard/record.hpp"

using namespace gristmill;

namespace {

template <class Record>
void read_and_write(std::string_view text) {
  try {
    const auto line = Record::parse(text, "fuzz").to_line();
    if (Record::parse(line, "again").to_line() != line) std::abort();
  } catch (const Error& error) {
    if (error.kind() != Kind::input || std::string_view(error.what()).starts_with("again")) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  read_and_write<shard::Document>(text);
  read_and_write<shard::Conversation>(text);
  read_and_write<shard::Preference>(text);
  return 0;
}

// Shards and foreign files: any bytes are records or one error.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.hpp"
#include "memory_file.hpp"
#include "shard/reader.hpp"
#include "shard/tokens.hpp"

using namespace gristmill;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const fuzz::MemoryFile file(data, size);
  try {
    shard::ReaderOptions options;
    options.max_record_bytes = 1 << 20;
    options.tokens_as_records = true;
    shard::Reader reader({file.path()}, options);
    for (std::string_view record; reader.next(record);) {
    }
    reader.provenance();
  } catch (const Error&) {
  }
  try {
    shard::read_tokens({file.path()});
  } catch (const Error&) {
  }
  return 0;
}

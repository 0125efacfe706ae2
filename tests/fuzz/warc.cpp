// Crawl files: any bytes are records or one error, and any record is a document or a reason.
#include <cstddef>
#include <cstdint>

#include "base/error.hpp"
#include "memory_file.hpp"
#include "web/page.hpp"
#include "web/warc_reader.hpp"

using namespace gristmill;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const fuzz::MemoryFile file(data, size);
  try {
    web::WarcOptions options;
    options.max_record_bytes = 1 << 20;
    web::WarcReader reader(file.path(), options);
    web::WarcRecord record;
    while (reader.next(record)) web::process_record(record, {});
  } catch (const Error&) {
  }
  return 0;
}

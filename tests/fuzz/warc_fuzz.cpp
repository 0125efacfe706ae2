// libFuzzer target: any bytes through the WARC reader and, record by record, through the whole extraction.

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/error.hpp"
#include "web/page.hpp"
#include "web/warc_reader.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace gristmill;
  char path[] = "/tmp/warc-fuzz-XXXXXX";
  const int descriptor = ::mkstemp(path);
  if (descriptor < 0 || ::write(descriptor, data, size) != static_cast<ssize_t>(size)) return 0;
  ::close(descriptor);
  try {
    web::WarcReader reader(path, {1 << 20});
    web::WarcRecord record;
    web::CrawlOptions options;
    options.max_page_bytes = 1 << 20;
    while (reader.next(record)) web::process_record(record, options);
  } catch (const Error&) {
  }
  ::unlink(path);
  return 0;
}

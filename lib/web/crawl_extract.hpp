#pragma once

// The stage of crawl-extract: crawl files in, documents out, in the order of the records.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/stats.hpp"
#include "shard/writer.hpp"
#include "web/page.hpp"

namespace gristmill::web {

/// `records_in` counts every record (requests and metadata too), or HTML files.
struct CrawlStats : Stats {
  std::map<std::string, uint64_t>
      repaired;  ///< pages kept although their HTTP fields did not fit their bodies
};

/// Reads `inputs` ("-" is standard input), writes a document shard and closes it. `rejects`, unless null,
/// gets one record for each that was dropped, with metadata.dropped naming the reason, and is closed too. A
/// damaged file is Error{input}: the documents before the damage have been written, but the output is not
/// closed.
CrawlStats crawl_extract(const std::vector<std::string>& inputs, shard::Writer& writer,
                         shard::Writer* rejects, const CrawlOptions& options);

/// The files that --html means: a folder stands for the *.html and *.htm in it, by name.
std::vector<std::string> html_files(const std::vector<std::string>& inputs);

}  // namespace gristmill::web

#pragma once

// One crawled page to one document: HTTP, charset, tree, main text, language. Pure functions, run on many
// threads.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.hpp"
#include "shard/record.hpp"
#include "web/extract.hpp"
#include "web/warc_reader.hpp"

namespace gristmill::web {

struct CrawlOptions {
  bool html = false;      ///< inputs are bare HTML files, or folders of them
  bool comments = false;  ///< keep readers' comments
  bool respect_optout =
      false;  ///< drop pages that ask not to be used (robots "noai", "noindex", "noarchive"; TDM)
  std::vector<std::string> languages;  ///< keep only these codes; empty = all
  double min_language_share = 0.65;    ///< part of the text that has to be in one of them
  uint64_t max_record_bytes = uint64_t{64} << 20;
  uint64_t max_page_bytes = uint64_t{16} << 20;
  int threads = 1;

  /// Throws Error{usage} for values that make no sense.
  void check() const;
  /// What affects the output, for the shard's header.
  Json to_json() const;
};

/// What became of a record. The names of the reasons are keys in --stats.
struct PageResult {
  shard::Document document;
  std::string dropped;  ///< reason, or empty: keep the document
  std::vector<std::string>
      repaired;  ///< lies that were seen through: "not_chunked", "not_compressed", "cut_body"
};

/// A WARC record. Reasons: damaged_record, record_too_large, record_type, not_http, status, content_type,
/// content_encoding, page_too_large, no_text, opt_out, language.
PageResult process_record(const WarcRecord& record, const CrawlOptions& options);

/// The bytes of a bare HTML file. Reasons: page_too_large, no_text, opt_out, language.
PageResult process_html(std::string_view id, std::string_view bytes, const CrawlOptions& options);

}  // namespace gristmill::web

#pragma once

// The filter stage: judges documents by a recipe's rules, keeps or drops them, edits those whose rules cut
// lines or mask personal data, and accounts for every record: in = out + each reason.

#include <cstdint>
#include <optional>
#include <string>

#include "base/file.hpp"
#include "base/stats.hpp"
#include "curate/recipe.hpp"
#include "curate/rejects.hpp"
#include "curate/sheet.hpp"
#include "shard/reader.hpp"
#include "shard/record.hpp"
#include "shard/writer.hpp"

namespace gristmill::curate {

/// The rules of a recipe, ready to judge; const and shared by threads.
class Filter {
 public:
  explicit Filter(const FilterOptions& options);

  /// Judges `document`, whose text and metadata it edits: what a step cut or masked, unless tag_only; the
  /// measures and the verdict in metadata.filter if the document fails or with tag_only. True if the document
  /// changed.
  bool judge(shard::Document& document, Sheet& sheet, Scratch& scratch) const;

  const FilterOptions& options() const { return options_; }

 private:
  void run_step(Step step, const std::string& url, Page& page, Sheet& sheet, Scratch& scratch) const;
  FilterOptions options_;
  UrlRules url_rules_;
};

/// Filters all records. A record that is no document counts as bad_record. `rejects` may be null. stats.extra
/// gets lines_removed and masked. Memory: four records or 256 KiB batches a thread.
Stats filter(shard::Reader& reader, shard::Writer& writer, Rejects* rejects, const FilterOptions& options,
             int threads);

/// One line a rule and record on `out`, tab-separated: id, rule, value, relation, limit, verdict. Nothing is
/// dropped.
Stats explain(shard::Reader& reader, OutputFile& out, const FilterOptions& options);

}  // namespace gristmill::curate

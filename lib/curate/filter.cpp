#include "curate/filter.hpp"

#include <map>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/parallel.hpp"
#include "base/progress.hpp"
#include "base/str.hpp"
#include "curate/batch.hpp"

namespace gristmill::curate {

Filter::Filter(const FilterOptions& options) : options_(options), url_rules_(options.url) {}

void Filter::run_step(Step step, const std::string& url, Page& page, Sheet& sheet, Scratch& scratch) const {
  switch (step) {
    case Step::url:
      url_rules_.judge(url, sheet);
      return;
    case Step::gopher_repetition:
      gopher_repetition(page, options_.gopher_repetition, sheet, scratch);
      return;
    case Step::gopher_quality:
      gopher_quality(page, options_.gopher_quality, sheet);
      return;
    case Step::c4:
      c4_quality(page, options_.c4, sheet);
      return;
    case Step::c4_paragraphs:
      c4_paragraphs(page, options_.c4_paragraphs, sheet);
      return;
    case Step::fineweb:
      fineweb_quality(page, options_.fineweb, sheet, scratch);
      return;
    case Step::pii: {
      if (options_.pii.action == PiiAction::keep) return;
      std::string text = page.text();
      if (treat_pii(text, options_.pii, sheet)) page.replace_text(std::move(text));
      return;
    }
  }
}

bool Filter::judge(shard::Document& document, Sheet& sheet, Scratch& scratch) const {
  Page page(options_.tag_only ? document.text : std::move(document.text));
  std::string original;
  const uint64_t size = page.text().size();
  const bool judged = size <= options_.max_document_bytes;
  if (!judged && !options_.steps.empty()) {
    sheet.drop_above("too_large", static_cast<double>(size),
                     static_cast<double>(options_.max_document_bytes));
  }
  for (const auto step : options_.steps) {
    if (!judged) break;
    // A dropped document goes to the rejects as it came.
    const bool edits = step == Step::c4 || step == Step::pii;
    if (edits && !options_.tag_only && !page.edited()) original = page.text();
    run_step(step, document.url, page, sheet, scratch);
    if (sheet.stopped()) break;
  }
  const Measure* failure = sheet.failure();
  const bool edited = page.edited();
  if (!options_.tag_only)
    document.text = failure != nullptr && edited ? std::move(original) : page.take_text();
  if (failure == nullptr && !options_.tag_only) return edited;
  Json verdict = Json::object();
  verdict["verdict"] = failure == nullptr ? "keep" : failure->rule;
  verdict["measures"] = sheet.values();
  document.metadata["filter"] = std::move(verdict);
  return true;
}

namespace {

struct Outcome {
  Stats stats;
  std::map<std::string, uint64_t> lines_removed, masked;
  std::vector<std::string> kept, rejected;
};

void add(std::map<std::string, uint64_t>& sums, const std::map<std::string, uint64_t>& more) {
  for (const auto& [key, count] : more) sums[key] += count;
}

/// Judges one record; what becomes of it goes into `outcome`.
void judge_line(const Filter& filter, std::string& line, uint64_t number, bool keep_rejects, Scratch& scratch,
                Outcome& outcome) {
  shard::Document document;
  try {
    document = shard::Document::parse(line, record_name(number));
  } catch (const Error& error) {
    outcome.stats.drop(kBadRecord);
    if (keep_rejects) outcome.rejected.push_back(bad_record_line(line, error.what()));
    return;
  }
  Sheet sheet(filter.options().tag_only);
  const bool changed = filter.judge(document, sheet, scratch);
  const Measure* failure = sheet.failure();
  if (failure != nullptr && !filter.options().tag_only) {
    outcome.stats.drop(failure->rule);
    if (keep_rejects) outcome.rejected.push_back(document.to_line());
    return;
  }
  add(outcome.lines_removed, sheet.lines_removed);
  add(outcome.masked, sheet.masked);
  outcome.kept.push_back(changed ? document.to_line() : std::move(line));
}

Outcome judge_batch(const Filter& filter, Batch&& batch, bool keep_rejects) {
  Outcome outcome;
  Scratch scratch;
  outcome.stats.records_in = batch.lines.size();
  for (size_t i = 0; i < batch.lines.size(); ++i) {
    judge_line(filter, batch.lines[i], batch.first + i, keep_rejects, scratch, outcome);
  }
  outcome.stats.records_out = outcome.kept.size();
  return outcome;
}

Json to_json(const std::map<std::string, uint64_t>& counts) {
  Json json = Json::object();
  for (const auto& [key, count] : counts) json[key] = count;
  return json;
}

}  // namespace

Stats filter(shard::Reader& reader, shard::Writer& writer, Rejects* rejects, const FilterOptions& options,
             int threads) {
  require_documents(reader);
  const Filter judge(options);
  Stats total;
  std::map<std::string, uint64_t> lines_removed, masked;
  progress::Counter progress("filtered", "records");
  ordered_parallel<Batch, Outcome>(
      threads, [&] { return next_batch(reader); },
      [&](Batch&& batch) { return judge_batch(judge, std::move(batch), rejects != nullptr); },
      [&](Outcome&& outcome) {
        for (const auto& line : outcome.kept) writer.write(line);
        for (const auto& line : outcome.rejected) rejects->write(line);
        total.records_in += outcome.stats.records_in;
        total.records_out += outcome.stats.records_out;
        add(total.dropped, outcome.stats.dropped);
        add(lines_removed, outcome.lines_removed);
        add(masked, outcome.masked);
        progress.add(outcome.stats.records_in);
      });
  writer.close(reader.provenance());
  if (rejects != nullptr) rejects->close(reader.provenance());
  total.bytes_in = reader.bytes_read();
  total.bytes_out = writer.bytes_written();
  total.extra["lines_removed"] = to_json(lines_removed);
  total.extra["masked"] = to_json(masked);
  return total;
}

Stats explain(shard::Reader& reader, OutputFile& out, const FilterOptions& options) {
  require_documents(reader);
  FilterOptions all = options;
  all.tag_only = true;
  const Filter judge(all);
  Scratch scratch;
  Stats stats;
  for (std::string_view record; reader.next(record); ++stats.records_in) {
    shard::Document document;
    try {
      document = shard::Document::parse(record, record_name(stats.records_in));
    } catch (const Error& error) {
      out.write(str(record_name(stats.records_in), "\tbad_record\t", error.what(), "\n"));
      stats.drop(kBadRecord);
      continue;
    }
    Sheet sheet(true);
    judge.judge(document, sheet, scratch);
    const std::string name = document.id.empty() ? record_name(stats.records_in) : document.id;
    for (const auto& measure : sheet.measures()) {
      out.write(str(name, '\t', measure.rule, '\t', measure.value, '\t', measure.relation, '\t',
                    measure.limit, '\t', measure.failed ? "drop" : "pass", '\n'));
    }
    stats.records_out += 1;
  }
  out.close();
  stats.bytes_in = reader.bytes_read();
  return stats;
}

}  // namespace gristmill::curate

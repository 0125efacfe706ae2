// WARC files or HTML pages → documents: the main text of each page with its title and language.

#include <optional>

#include "base/cli.hpp"
#include "base/log.hpp"
#include "shard/writer.hpp"
#include "web/crawl_extract.hpp"

int main(int argc, char** argv) {
  using namespace gristmill;
  web::CrawlOptions options;
  std::string rejects_file;
  cli::Tool tool(
      "crawl-extract",
      "Extracts the main text of web pages from WARC files (.warc, .warc.gz, .warc.zst, WET) or bare HTML.\n"
      "Memory is bounded by --max-record-bytes for each of some records in flight a thread.");
  tool.inputs("WARC files; none or - is standard input")
      .binary_output("document shard; - is standard output")
      .threads()
      .stats()
      .shard();
  tool.group("Input");
  tool.option("--html", options.html, "inputs are HTML files or folders of them; the id is the file's name");
  tool.size_option("--max-record-bytes", options.max_record_bytes, "pass over a longer record (counted)");
  tool.size_option("--max-page-bytes", options.max_page_bytes,
                   "pass over a page that decodes to more (counted)");
  tool.group("Text");
  tool.option("--comments", options.comments, "keep readers' comments");
  tool.group("Selection");
  tool.option("--lang", options.languages,
              "keep only pages in these languages (en,de); codes as CLD2 gives them");
  tool.option("--lang-share", options.min_language_share, "part of the text that must be in one of them");
  tool.option(
      "--respect-optout", options.respect_optout,
      "drop pages marked noai, noindex, noarchive or tdm-reservation (otherwise in metadata.opt_out)");
  tool.option("--rejects", rejects_file, "write what was dropped here, with the reason in metadata.dropped");
  tool.example("crawl-extract crawl-*.warc.gz -o pages.jsonl.zst");
  tool.example("crawl-extract --lang en crawl.warc.gz | filter --recipe fineweb -o clean.jsonl.zst");
  tool.example("crawl-extract --html site/ | shard-cat");
  return tool.run(argc, argv, [&] {
    options.threads = tool.common().threads;
    options.check();
    shard::Header header;
    header.tool = "crawl-extract";
    header.options = options.to_json();
    const auto& output = tool.common().output;
    shard::Writer writer(output, header, shard::writer_options(output, options.threads));
    std::optional<shard::Writer> rejects;
    if (!rejects_file.empty()) rejects.emplace(rejects_file, header, shard::writer_options(rejects_file, 1));
    const web::CrawlStats stats =
        web::crawl_extract(tool.common().inputs, writer, rejects ? &*rejects : nullptr, options);
    for (const auto& [what, pages] : stats.repaired)
      log::info("HTTP fields that did not fit: ", what, " ", pages);
    tool.report(stats);
  });
}

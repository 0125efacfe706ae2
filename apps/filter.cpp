// filter: documents → documents, by the rules of a published recipe.

#include <algorithm>

#include "base/cli.hpp"
#include "base/error.hpp"
#include "base/file.hpp"
#include "base/log.hpp"
#include "curate/filter.hpp"

using namespace gristmill;

namespace {

struct Flags {
  std::string recipe = "fineweb";
  std::string rules;
  std::string rejects;
  std::vector<std::string> steps, constants;
  curate::UrlOptions url;
  std::string pii = "recipe";
  uint64_t max_document_bytes = curate::FilterOptions{}.max_document_bytes;
  bool phone = false, tag_only = false, explain = false;
};

curate::FilterOptions make_options(const Flags& flags, bool recipe_given) {
  if (!flags.rules.empty() && recipe_given) fail(Kind::usage, "give --recipe or --rules, not both");
  auto options = flags.rules.empty() ? curate::recipe(flags.recipe) : curate::read_rules(flags.rules);
  if (!flags.steps.empty()) options.steps.clear();
  for (const auto& step : flags.steps) options.steps.push_back(curate::parse_step(step));
  for (const auto& constant : flags.constants) {
    const size_t equals = constant.find('=');
    if (equals == std::string::npos) fail(Kind::usage, "--set takes NAME=VALUE, not ", in_quotes(constant));
    curate::set_constant(options, constant.substr(0, equals), constant.substr(equals + 1));
  }
  options.url.domain_files = flags.url.domain_files;
  options.url.url_files = flags.url.url_files;
  const auto has = [&](curate::Step step) {
    return std::find(options.steps.begin(), options.steps.end(), step) != options.steps.end();
  };
  const bool lists = !flags.url.domain_files.empty() || !flags.url.url_files.empty();
  if (lists && !has(curate::Step::url)) options.steps.insert(options.steps.begin(), curate::Step::url);
  if (flags.pii != "recipe") {
    options.pii.action = flags.pii == "mask"   ? curate::PiiAction::mask
                         : flags.pii == "drop" ? curate::PiiAction::drop
                                               : curate::PiiAction::keep;
    if (!has(curate::Step::pii)) options.steps.push_back(curate::Step::pii);
  }
  if (flags.phone) options.pii.phone = true;
  options.tag_only = flags.tag_only;
  options.max_document_bytes = flags.max_document_bytes;
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  Flags flags;
  cli::Tool tool(
      "filter",
      "Keeps the documents that pass the rules of a recipe. Every record is accounted for: in = out + each "
      "reason. Memory: a few batches of 256 KiB, or of the largest records, a thread.");
  tool.inputs().binary_output().threads().seed().shard().stats();
  tool.group("Rules");
  tool.option("--recipe", flags.recipe, "fineweb, gopher, c4, mc4 or none");
  tool.option("--rules", flags.rules, "TOML file with recipe or steps, and a table of constants a step");
  tool.option("--steps", flags.steps,
              "steps in place of the recipe's: url, gopher_repetition, gopher_quality, c4, "
              "c4_paragraphs, fineweb, pii");
  tool.option("--set", flags.constants, "change a constant: gopher_quality.min_doc_words=30");
  tool.option("--block-domains", flags.url.domain_files, "file of domains and hosts to drop, one a line");
  tool.option("--block-urls", flags.url.url_files, "file of URLs to drop, one a line");
  tool.choice("--pii", flags.pii,
              std::vector<std::pair<std::string, std::string>>{
                  {"recipe", "recipe"}, {"mask", "mask"}, {"drop", "drop"}, {"keep", "keep"}},
              "e-mail and public IP addresses; recipe = as the recipe has it");
  tool.option("--phone", flags.phone, "treat telephone numbers as personal data too");
  tool.size_option("--max-document-bytes", flags.max_document_bytes,
                   "drop a longer text as too_large; the rules need about 22 times a text's size");
  tool.group("Verdicts");
  tool.option("--tag-only", flags.tag_only,
              "drop and change nothing; write measures and verdict to metadata.filter");
  tool.option("--explain", flags.explain,
              "write a line for each record and rule (text) in place of documents");
  tool.option("--rejects", flags.rejects, "file for what was dropped, with the reason");
  tool.example("filter --recipe fineweb docs.jsonl.zst -o kept.jsonl.zst --rejects dropped.jsonl.zst");
  tool.example(
      "crawl-extract x.warc.gz | filter --recipe gopher --set gopher_quality.min_doc_words=30 | dedup -o "
      "d.jsonl.zst");
  tool.example("filter --recipe fineweb --explain docs.jsonl.zst | grep drop");
  return tool.run(argc, argv, [&] {
    const auto options = make_options(flags, tool.given("--recipe"));
    const auto& common = tool.common();
    shard::Reader reader(common.inputs);
    if (flags.explain) {
      if (!flags.rejects.empty()) fail(Kind::usage, "--explain drops nothing; leave --rejects out");
      OutputFile out(common.output);
      tool.report(curate::explain(reader, out, options));
      return;
    }
    shard::Header header;
    header.tool = tool.name();
    header.seed = common.seed;
    header.options = curate::to_json(options);
    shard::Writer writer(common.output, header, shard::writer_options(common.output, common.threads));
    const auto rejects = curate::open_rejects(flags.rejects, header, common.threads);
    tool.report(curate::filter(reader, writer, rejects.get(), options, common.threads));
  });
}

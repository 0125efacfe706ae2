// dedup: documents → documents without duplicates.

#include "curate/dedup.hpp"
#include "base/cli.hpp"

using namespace gristmill;

int main(int argc, char** argv) {
  curate::DedupOptions options;
  std::string rejects_file;
  cli::Tool tool(
      "dedup",
      "Removes duplicate documents; the first of each group stays, in the order of the input, byte for byte. "
      "Memory: exact about 64 bytes a document; minhash 4 bytes a place of the signature plus 20 a document "
      "(468 at 14 bands of 8 rows) and one temporary file of the decoded input's size in TMPDIR.");
  tool.inputs().binary_output().threads().seed().stats();
  tool.group("Duplicates");
  tool.choice("--method", options.method,
              {{"minhash", curate::DedupMethod::minhash}, {"exact", curate::DedupMethod::exact}},
              "similar sets of word n-grams, or the same words in the same order");
  tool.option("--threshold", options.threshold,
              "estimated Jaccard similarity from which documents that share a band are duplicates");
  tool.option("--bands", options.minhash.bands, "bands of the signature");
  tool.option("--rows", options.minhash.rows,
              "places a band; two documents of similarity s share a band with probability "
              "1-(1-s^rows)^bands");
  tool.option("--ngram", options.minhash.ngram, "words an n-gram");
  tool.size_option("--memory", options.memory, "stop when hashes or signatures need more; 0 is no limit");
  tool.option("--rejects", rejects_file,
              "file for what was dropped, with the reason and the id of what was kept");
  tool.example("dedup docs.jsonl.zst -o unique.jsonl.zst --stats stats.json");
  tool.example(
      "dedup --method exact a.jsonl.zst b.jsonl.zst | dedup --rejects twins.jsonl -o unique.jsonl.zst");
  return tool.run(argc, argv, [&] {
    const auto& common = tool.common();
    shard::Reader reader(common.inputs);
    shard::Header header;
    header.tool = tool.name();
    header.seed = common.seed;
    header.options = curate::to_json(options);
    shard::Writer writer(common.output, header, shard::writer_options(common.output, common.threads));
    const auto rejects = curate::open_rejects(rejects_file, header, common.threads);
    tool.report(curate::dedup(reader, writer, rejects.get(), options, common.seed, common.threads));
  });
}

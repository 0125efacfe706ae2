// mix: document shards of several domains → one stream of documents by weights.

#include <cmath>

#include "base/cli.hpp"
#include "base/error.hpp"
#include "base/log.hpp"
#include "base/str.hpp"
#include "curate/mix.hpp"

using namespace gristmill;

namespace {

/// The budget in bytes of text.
uint64_t budget(uint64_t bytes, uint64_t tokens, double bytes_per_token) {
  if (tokens == 0) return bytes;
  if (bytes != 0) fail(Kind::usage, "give --bytes or --tokens, not both");
  const double wanted = static_cast<double>(tokens) * bytes_per_token;
  if (!(bytes_per_token > 0) || !(wanted < 9e18)) fail(Kind::usage, "--bytes-per-token is a number above 0");
  log::info("--tokens ", tokens, " at ", bytes_per_token,
            " bytes a token: ", format_bytes(static_cast<uint64_t>(wanted)), " of text");
  return static_cast<uint64_t>(std::llround(wanted));
}

}  // namespace

int main(int argc, char** argv) {
  curate::MixOptions options;
  std::string weights_file, rejects_file;
  uint64_t tokens = 0;
  double bytes_per_token = 4;
  cli::Tool tool(
      "mix",
      "Mixes documents of several domains into one stream; a weight is a share of the bytes of text. A "
      "domain "
      "that runs out is reported, its share is not given to the others. Memory: about 24 bytes a document, "
      "and one temporary file of the decoded inputs' size in TMPDIR.");
  tool.inputs("document shards; none or - is standard input").binary_output().threads().seed().stats();
  tool.group("Mixture");
  tool.option("--weights", weights_file,
              "file of domains and weights: a JSON object, or lines \"domain <tab> weight\"");
  tool.required();
  tool.choice("--domain", options.by,
              {{"auto", curate::DomainBy::automatic},
               {"source", curate::DomainBy::source},
               {"file", curate::DomainBy::file}},
              "a record's domain: its \"source\", its file's name up to the first dot, or whichever of them "
              "has a weight");
  tool.option("--epochs", options.epochs, "most repetitions of a domain");
  tool.size_option("--bytes", options.bytes, "bytes of text to write; 0 is as many as all weights allow");
  tool.option("--tokens", tokens, "budget in tokens, turned into bytes by --bytes-per-token");
  tool.option("--bytes-per-token", bytes_per_token, "of your tokenizer on this text; tokenize reports it");
  tool.option("--rejects", rejects_file, "file for records that are no documents");
  tool.example("mix --weights weights.tsv web.jsonl.zst code.jsonl.zst -o mix.jsonl.zst");
  tool.example(
      "mix --weights w.json --epochs 4 --tokens 10000000 --bytes-per-token 4.3 *.jsonl.zst | tokenize …");
  return tool.run(argc, argv, [&] {
    const auto& common = tool.common();
    options.weights = curate::read_weights(weights_file);
    options.bytes = budget(options.bytes, tokens, bytes_per_token);
    shard::Header header;
    header.tool = tool.name();
    header.seed = common.seed;
    header.options = curate::to_json(options);
    shard::Writer writer(common.output, header, shard::writer_options(common.output, common.threads));
    const auto rejects = curate::open_rejects(rejects_file, header, common.threads);
    tool.report(curate::mix(common.inputs, writer, rejects.get(), options, common.seed));
  });
}

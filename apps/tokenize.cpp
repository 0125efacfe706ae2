// documents → token shard, and back.

#include "tokenizer/tokenize.hpp"
#include <string>

#include "base/cli.hpp"
#include "base/error.hpp"
#include "base/file.hpp"
#include "tokenizer/tokenizer.hpp"

int main(int argc, char** argv) {
  using namespace gristmill;
  tokenizer::TokenizeOptions options;
  std::string tokenizer_file;
  bool decode = false, force = false;
  cli::Tool tool("tokenize", "Encodes documents as token ids, and decodes them again.");
  tool.inputs(
          "document shards or JSON Lines (or as --text, --ids and --decode say); none or - is standard input")
      .output()
      .threads()
      .seed()
      .stats()
      .shard();
  tool.group("Tokens");
  tool.option("--tokenizer", tokenizer_file, "tokenizer.json, or the model directory that holds one");
  tool.required();
  tool.option("--text", options.text,
              "each input file is one plain-text document; with --decode: write the bare text");
  tool.option(
      "--ids", options.ids,
      "one line of space-separated ids a document in place of a token shard; with --decode: read such lines");
  tool.option("--decode", decode, "ids to documents");
  tool.option("--force", force, "write binary data to a terminal all the same");
  tool.example("tokenize --tokenizer tokenizer.json clean.jsonl.zst -o train.tok.zst");
  tool.example("tokenize --tokenizer tokenizer.json --text --ids README.md");
  tool.example("tokenize --tokenizer tokenizer.json --decode train.tok.zst | shard-cat");
  return tool.run(argc, argv, [&] {
    options.threads = tool.common().threads;
    options.seed = tool.common().seed;
    const bool is_binary = decode ? !options.text : !options.ids;
    if (is_binary && !force && tool.common().output == "-" && is_terminal(1)) {
      fail(Kind::usage,
           "refusing to write binary data to a terminal; use -o FILE, --force, or --ids for text");
    }
    const auto tokenizer = tokenizer::Tokenizer::load(tokenizer_file);
    const auto& inputs = tool.common().inputs;
    const auto& output = tool.common().output;
    tool.report(decode ? tokenizer::detokenize(inputs, output, tokenizer, options)
                       : tokenizer::tokenize(inputs, output, tokenizer, options));
  });
}

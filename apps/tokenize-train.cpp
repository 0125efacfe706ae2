// documents → tokenizer.json: trains a byte-level BPE.

#include "base/cli.hpp"
#include "base/file.hpp"
#include "base/log.hpp"
#include "shard/reader.hpp"
#include "tokenizer/train.hpp"

namespace {

enum class Pretokenizer { gpt2 };

}  // namespace

int main(int argc, char** argv) {
  using namespace gristmill;
  tokenizer::TrainOptions options;
  Pretokenizer pretokenizer = Pretokenizer::gpt2;
  cli::Tool tool(
      "tokenize-train",
      "Trains a byte-level BPE on documents and writes a tokenizer.json that Hugging Face's libraries read.\n"
      "Memory grows with the number of distinct words, not with the text.");
  tool.inputs("document shards or JSON Lines; none or - is standard input")
      .output("tokenizer.json; - is standard output")
      .threads()
      .stats();
  tool.group("Vocabulary");
  tool.option("--vocab-size", options.vocab_size, "entries, with the special tokens and the 256 bytes");
  tool.option("--special-tokens", options.special_tokens,
              "special tokens, which get the first ids; text never becomes one");
  tool.option("--min-frequency", options.min_frequency, "join no pair that is seen less often");
  tool.group("Rules");
  tool.choice("--pretokenizer", pretokenizer, {{"gpt2", Pretokenizer::gpt2}},
              "pattern that cuts text into pieces");
  tool.choice(
      "--ties", options.ties, {{"hf", tokenizer::Ties::hf}, {"cs336", tokenizer::Ties::cs336}},
      "which of equally frequent pairs is joined first: the smaller ids (hf) or the greater bytes (cs336)");
  tool.option("--split-lines", options.split_lines,
              "cut behind every newline first, as Hugging Face does on files");
  tool.option("--max-piece-bytes", options.max_piece_bytes, "count a longer piece as several");
  tool.example("tokenize-train --vocab-size 16000 clean.jsonl.zst -o tokenizer.json");
  tool.example("zstdcat *.jsonl.zst | tokenize-train --special-tokens '<|endoftext|>' -o tokenizer.json");
  return tool.run(argc, argv, [&] {
    options.threads = tool.common().threads;
    options.check();
    shard::Reader reader(tool.common().inputs);
    const tokenizer::Trained trained = tokenizer::train(reader, options);
    OutputFile file(tool.common().output);
    file.write(trained.json);
    file.close();
    if (trained.vocab_size < options.vocab_size) {
      log::warn("the text gave only ", trained.vocab_size, " of ", options.vocab_size,
                " entries: no other pair is seen --min-frequency times");
    }
    tool.report(trained.stats);
  });
}

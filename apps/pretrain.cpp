// pretrain: token shards → run directory.

#include "base/cli.hpp"
#include "train/pretrain_run.hpp"

int main(int argc, char** argv) {
  using namespace gristmill;
  train::PretrainRunOptions options;
  cli::Tool tool("pretrain", "Trains a language model on token shards.");
  tool.inputs("token shards; none or - is standard input").threads().seed().device();
  train::add_pretrain_flags(tool, options);
  tool.example(
      "pretrain --tokenizer tokenizer.json --run-dir runs/small train.tok.zst --val held-out.tok.zst");
  tool.example(
      "pretrain --layers 12 --dim 512 --tokens 500000000 --optimizer muon --qk-norm --schedule wsd --run-dir "
      "runs/wsd train.tok.zst");
  tool.example(
      "pretrain --init runs/small --context 1024 --rope-theta 100000 --run-dir runs/long train.tok.zst");
  return tool.run(argc, argv, [&] {
    train::read_common_flags(tool, options);
    train::pretrain(options);
  });
}

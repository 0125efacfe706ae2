// token shards → run directory.

#include <algorithm>
#include <string>
#include <vector>

#include "base/cli.hpp"
#include "train/pretrain_run.hpp"

namespace {

enum class Precision { fp32 };

}  // namespace

int main(int argc, char** argv) {
  using namespace gristmill;
  using train::Schedule;
  train::PretrainRunOptions options;
  Precision precision = Precision::fp32;
  cli::Tool tool("pretrain", "Trains a language model on token shards.");
  tool.inputs("token shards; none or - is standard input").threads().seed().device();
  tool.group("Run");
  tool.option("--run-dir", options.train.run_dir,
              "folder for config.toml, metrics.jsonl, checkpoints and report.html");
  tool.required();
  tool.option("--resume", options.train.resume,
              "go on from the run directory's last checkpoint, if there is one");
  tool.option("--checkpoint-every", options.train.checkpoint_every,
              "steps between checkpoints; 0 = only at the end");
  tool.option("--keep-checkpoints", options.train.keep_checkpoints, "newest checkpoints to keep; 0 = all");
  tool.option("--val", options.held_out, "token shard that is held out for validation");
  tool.option("--validate-every", options.train.validate_every,
              "steps between validations; 0 = only at the end");
  tool.option("--tokenizer", options.tokenizer,
              "tokenizer.json: must be the shards'; copied into the model directories");
  tool.group("Model");
  tool.option("--model-config", options.model_config, "config.json of Hugging Face with the model's shape");
  tool.option("--init", options.init, "model directory to start from");
  tool.option("--layers", options.shape.layers, "transformer layers");
  tool.option("--dim", options.shape.dim, "width of the residual stream");
  tool.option("--heads", options.shape.heads, "attention heads");
  tool.option("--kv-heads", options.shape.kv_heads, "key and value heads; 0 = as many as --heads");
  tool.option("--hidden-dim", options.shape.hidden_dim, "width of the feed-forward layer; 0 = 8/3 of --dim");
  tool.option("--context", options.shape.context, "longest text in tokens");
  tool.option("--untied", options.shape.untied, "give the head weights of its own");
  tool.choice("--dtype", precision, {{"fp32", Precision::fp32}}, "arithmetic");
  tool.group("Training");
  tool.option("--tokens", options.pretrain.tokens,
              "tokens to train on, repeated in epochs; 0 = each token once");
  tool.option("--batch-tokens", options.pretrain.batch_tokens, "tokens an optimizer step");
  tool.option("--micro-batch-tokens", options.pretrain.micro_batch_tokens, "tokens in memory at once");
  tool.option("--lr", options.train.learning_rate, "peak learning rate");
  tool.choice("--schedule", options.train.schedule.kind,
              {{"constant", Schedule::constant},
               {"cosine", Schedule::cosine},
               {"linear", Schedule::linear},
               {"wsd", Schedule::wsd}},
              "learning rate after the warm-up");
  tool.option("--warmup", options.train.schedule.warmup_share,
              "share of the steps in which the learning rate rises");
  tool.option("--decay", options.train.schedule.decay_share,
              "wsd: share of the steps in which it falls at the end");
  tool.option("--final-lr", options.train.schedule.final_share,
              "cosine, linear: last learning rate, as a share of --lr");
  tool.option("--beta1", options.train.beta1, "AdamW's first moment");
  tool.option("--beta2", options.train.beta2, "AdamW's second moment");
  tool.option("--weight-decay", options.train.weight_decay, "decoupled weight decay of matrices");
  tool.option("--clip", options.train.clip_norm, "largest gradient norm; 0 = off");
  tool.example(
      "pretrain --tokenizer tokenizer.json --run-dir runs/small train.tok.zst --val held-out.tok.zst");
  tool.example(
      "pretrain --layers 12 --dim 512 --tokens 500000000 --schedule wsd --run-dir runs/wsd train.tok.zst");
  return tool.run(argc, argv, [&] {
    const auto& common = tool.common();
    options.inputs = common.inputs;
    options.threads = common.threads;
    options.device = common.device;
    options.train.seed = options.pretrain.seed = common.seed;
    const std::vector<std::string> shape = {"--layers",     "--dim",     "--heads", "--kv-heads",
                                            "--hidden-dim", "--context", "--untied"};
    options.shape_given =
        std::any_of(shape.begin(), shape.end(), [&](const auto& flag) { return tool.given(flag); });
    train::pretrain(options);
  });
}

// eval-ppl: documents → perplexity report.

#include "base/cli.hpp"
#include "base/file.hpp"
#include "base/log.hpp"
#include "eval/perplexity.hpp"

using namespace gristmill;

int main(int argc, char** argv) {
  eval::PerplexityOptions options;
  std::string model, tokenizer;
  bool per_record = false;
  auto compute = runtime::DType::f32;
  auto weights = model::WeightStorage::real;
  cli::Tool tool("eval-ppl", "Perplexity of a language model on documents: by token, byte and word.");
  tool.inputs("documents (shards or JSON Lines); none or - is standard input")
      .output()
      .threads()
      .device()
      .stats();
  tool.group("Model");
  tool.option("--model", model, "model or run directory");
  tool.required();
  tool.option("--tokenizer", tokenizer, "tokenizer.json in place of the model's own");
  tool.choice("--dtype", compute, {{"fp32", runtime::DType::f32}, {"bf16", runtime::DType::bf16}},
              "arithmetic; bf16 is faster and rounds to 8 bits what stands between products");
  tool.choice(
      "--weights", weights, model::kWeightStorages,
      "as they are, in bf16 (with --dtype bf16), or matrices in int8 with a scale a row: what generate would "
      "lose");
  tool.group("Scoring");
  tool.option("--context", options.context, "tokens a window reads; 0 = the model's context");
  tool.option("--stride", options.stride, "tokens a later window predicts; 0 = the context: no overlap");
  tool.option("--ids", options.ids,
              "records {\"ids\": […]} in place of documents; the first id is given, not scored");
  tool.option("--batch-tokens", options.batch_tokens,
              "tokens scored at once; never changes the result beyond rounding");
  tool.option("--per-record", per_record, "one line a record (nll in nats, tokens) in place of the report");
  tool.example("eval-ppl --model out/pretrain held-out.jsonl.zst");
  return tool.run(argc, argv, [&] {
    const auto& common = tool.common();
    const auto device = runtime::open_device(common.device, common.threads, compute);
    auto session = decode::open_session(*device, model,
                                        options.ids ? decode::WithTokenizer::no : decode::WithTokenizer::yes,
                                        tokenizer, model::Head::language, weights);
    shard::Reader reader(common.inputs);
    OutputFile out(common.output);
    Stats stats;
    const auto total =
        eval::perplexity(session, reader, options, stats, [&](const std::string& id, const auto& record) {
          if (!per_record) return;
          Json json = Json::object();
          if (!id.empty()) json["id"] = id;
          json["nll"] = record.nll;
          json["tokens"] = record.tokens;
          if (!options.ids) {
            json["bytes"] = record.bytes;
            json["words"] = record.words;
          }
          out.write(json.dump() + "\n");
        });
    if (per_record) {
      log::info(total.to_json().dump());
    } else {
      out.write(total.to_json().dump() + "\n");
    }
    out.close();
    tool.report(stats);
  });
}

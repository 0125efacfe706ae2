// generate: prompts → completions, or a conversation on the terminal.

#include <unistd.h>

#include "base/cli.hpp"
#include "base/error.hpp"
#include "base/file.hpp"
#include "decode/chat.hpp"
#include "decode/completion.hpp"

using namespace gristmill;

namespace {

/// One source of prompts, and no option that it would ignore.
void check_flags(const cli::Tool& tool) {
  const bool chat = tool.given("--chat");
  int sources = (tool.common().inputs == std::vector<std::string>{"-"} ? 0 : 1) + (chat ? 1 : 0);
  for (const char* flag : {"--prompt", "--prompt-ids"}) sources += tool.given(flag) ? 1 : 0;
  if (sources > 1) fail(Kind::usage, "two sources of prompts: give files, --prompt, --prompt-ids or --chat");
  if (tool.given("--system") && !chat) fail(Kind::usage, "--system is for --chat");
  for (const char* flag : {"--n", "--output-ids", "--template", "--output", "--stats"}) {
    if (chat && tool.given(flag)) fail(Kind::usage, flag, " has no meaning with --chat");
  }
}

/// One prompt of the command line: its text as it comes on a terminal, records otherwise.
void complete_prompt(decode::Session& session, const decode::Prompt& prompt,
                     const decode::CompletionOptions& options, const std::string& output) {
  OutputFile out(output);
  const bool live =
      output == "-" && is_terminal(STDOUT_FILENO) && options.samples == 1 && !options.output_ids;
  std::function<void(std::string_view)> on_text;
  if (live && session.tokenizer != nullptr) on_text = [&](std::string_view piece) { out.write(piece); };
  const auto records = decode::complete_one(session, prompt, options, on_text);
  if (on_text) out.write("\n");
  for (const auto& record : records) {
    if (!on_text) out.write(record.dump() + "\n");
  }
  out.close();
}

}  // namespace

int main(int argc, char** argv) {
  decode::CompletionOptions options;
  std::string model, tokenizer, prompt, prompt_ids, stop_ids, system;
  bool chat = false;
  auto compute = runtime::DType::f32;
  auto weights = model::WeightStorage::real;
  auto& sampling = options.generate.sampling;
  cli::Tool tool("generate", "Completes prompts with a language model; --chat talks.");
  tool.inputs("prompt records (JSON Lines); none or - is standard input")
      .inputs_unless({"--prompt", "--prompt-ids", "--chat"})
      .threads()
      .seed()
      .device()
      .stats();
  tool.output(
      "completions: FILE.jsonl plain, other names as a shard; - is plain JSON Lines on standard output");
  tool.group("Model");
  tool.option("--model", model, "model or run directory");
  tool.required();
  tool.option("--tokenizer", tokenizer, "tokenizer.json in place of the model's own");
  tool.choice("--dtype", compute, {{"fp32", runtime::DType::f32}, {"bf16", runtime::DType::bf16}},
              "arithmetic; bf16 is faster and rounds to 8 bits what stands between products");
  tool.choice(
      "--weights", weights, model::kWeightStorages,
      "as they are, in bf16 (with --dtype bf16), or matrices in int8 with a scale a row: less memory, faster "
      "tokens");
  tool.group("Prompts");
  tool.option("--prompt", prompt, "one prompt, in place of records");
  tool.option("--prompt-ids", prompt_ids, "one prompt as ids, 1,2,3; needs no tokenizer");
  tool.option("--output-ids", options.output_ids, "write ids in place of text");
  tool.choice("--template", options.text_template,
              {{"none", decode::TextTemplate::none}, {"chatml", decode::TextTemplate::chatml}},
              "text prompts are continued (none) or answered as a user's message");
  tool.option("--chat", chat, "reads messages line by line and answers; /reset, /quit");
  tool.option("--system", system, "system message of --chat");
  tool.group("Sampling");
  tool.option("--temperature", sampling.temperature, "0 is the most likely token");
  tool.option("--top-k", sampling.top_k, "draw from the k likeliest tokens; 0 = all");
  tool.option("--top-p", sampling.top_p, "draw from the likeliest tokens that hold this probability");
  tool.option("--min-p", sampling.min_p, "drop tokens below this share of the likeliest one's probability");
  tool.option("--max-tokens", options.generate.max_tokens, "tokens of a completion at most");
  tool.option("--stop-ids", stop_ids, "ids that end a completion (default: end of text and end of turn)");
  tool.option("--n", options.samples, "completions a prompt");
  tool.option("--batch", options.generate.batch, "completions side by side; never changes one");
  tool.example("generate --model out/sft --chat");
  tool.example("generate --model out/pretrain --prompt 'The mill' --temperature 0.8 --top-p 0.95");
  return tool.run(argc, argv, [&] {
    const auto& common = tool.common();
    options.generate.seed = common.seed;
    check_flags(tool);
    const bool by_ids = tool.given("--prompt-ids");
    const auto device = runtime::open_device(common.device, common.threads, compute);
    auto session = decode::open_session(*device, model, decode::WithTokenizer::if_present, tokenizer,
                                        model::Head::language, weights);
    options.generate.stop_ids = tool.given("--stop-ids") ? decode::parse_ids(stop_ids) : session.stop_ids;
    if (chat) {
      decode::Chat conversation(session, options.generate, system);
      decode::run_chat(conversation);
    } else if (by_ids || tool.given("--prompt")) {
      const auto one =
          by_ids ? decode::Prompt::of_ids(decode::parse_ids(prompt_ids)) : decode::Prompt::of_text(prompt);
      complete_prompt(session, one, options, common.output);
      Stats stats;
      stats.records_in = stats.records_out = 1;
      if (!common.stats_file.empty()) tool.report(stats);
    } else {
      shard::Reader reader(common.inputs);
      auto writing = shard::writer_options(common.output, common.threads);
      writing.plain = writing.plain || common.output == "-";
      shard::Writer writer(common.output, decode::completion_header(options), writing);
      tool.report(decode::complete(session, reader, writer, options));
    }
  });
}

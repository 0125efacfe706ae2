// eval-bench: benchmark files → scores.

#include "base/cli.hpp"
#include "base/error.hpp"
#include "base/file.hpp"
#include "eval/multiple_choice.hpp"

using namespace gristmill;

namespace {

enum class Styles { harness, original, helm, all };

std::vector<eval::Style> styles_of(Styles styles) {
  switch (styles) {
    case Styles::harness:
      return {eval::Style::harness};
    case Styles::original:
      return {eval::Style::original};
    case Styles::helm:
      return {eval::Style::helm};
    case Styles::all:
      break;
  }
  return {eval::Style::harness, eval::Style::original, eval::Style::helm};
}

}  // namespace

int main(int argc, char** argv) {
  eval::BenchmarkOptions options;
  std::string model, tokenizer, dev, records;
  Styles styles = Styles::harness;
  cli::Tool tool("eval-bench", "Multiple-choice benchmarks by log-probability.");
  tool.inputs("questions (JSON Lines): {question | context, choices, answer, subject?}")
      .output()
      .threads()
      .device()
      .stats();
  tool.group("Model");
  tool.option("--model", model, "model or run directory");
  tool.required();
  tool.option("--tokenizer", tokenizer, "tokenizer.json in place of the model's own");
  tool.group("Benchmark");
  tool.choice(
      "--task", options.task,
      {{"choices", eval::Task::choices}, {"mmlu", eval::Task::mmlu}, {"hellaswag", eval::Task::hellaswag}},
      "form of the questions");
  tool.choice("--style", styles,
              {{"harness", Styles::harness},
               {"original", Styles::original},
               {"helm", Styles::helm},
               {"all", Styles::all}},
              "how they are put");
  tool.option("--shots", options.shots, "solved examples in front of each question, of its subject");
  tool.option("--dev", dev, "file with the solved examples");
  tool.option("--records", records,
              "write one line a question and style, from which all scores can be recomputed");
  tool.option("--batch-tokens", options.batch_tokens, "tokens scored at once");
  tool.example("eval-bench --model out/sft --task mmlu --style all --shots 5 --dev dev.jsonl test.jsonl");
  return tool.run(argc, argv, [&] {
    const auto& common = tool.common();
    Stats stats;
    shard::Reader reader(common.inputs);
    const auto questions = eval::read_questions(reader, options.task, stats);
    if (!dev.empty()) {
      if (options.shots == 0) fail(Kind::usage, "--dev is for --shots: say how many examples");
      shard::Reader examples({dev});
      Stats example_stats;
      options.examples = eval::read_questions(examples, options.task, example_stats);
    }
    options.styles = styles_of(styles);
    const auto device = runtime::open_device(common.device, common.threads);
    auto session = decode::open_session(*device, model, decode::WithTokenizer::yes, tokenizer);
    const auto outcomes = eval::run_benchmark(session, questions, options);
    stats.records_out = questions.size();
    if (!records.empty()) {
      OutputFile lines(records);
      for (const auto& outcome : outcomes)
        lines.write(outcome.to_json(questions[outcome.question]).dump() + "\n");
      lines.close();
    }
    OutputFile out(common.output);
    out.write(eval::summarize_benchmark(questions, outcomes, options.task).dump() + "\n");
    out.close();
    tool.report(stats);
  });
}

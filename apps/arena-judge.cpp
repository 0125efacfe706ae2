// arena-judge: answers of two models → verdicts; verdicts → ratings and win rates.

#include "base/cli.hpp"
#include "base/error.hpp"
#include "base/file.hpp"
#include "base/log.hpp"
#include "eval/difficulty.hpp"
#include "eval/judge.hpp"
#include "eval/rating.hpp"
#include "eval/win_rate.hpp"
#include "shard/writer.hpp"

using namespace gristmill;

namespace {

struct Flags {
  eval::JudgeOptions judge;
  std::string model, reward_model, report_file;
  eval::RatingOptions rating;
  eval::WinRateOptions win_rate;
  std::string difficulty, variants;
};

void write_lines(const std::string& path, const std::vector<std::string>& lines) {
  OutputFile out(path);
  for (const auto& line : lines) out.write(line + "\n");
  out.close();
}

void run_judge(const cli::Tool& tool, const Flags& flags) {
  const auto& common = tool.common();
  if (common.inputs.size() != 2) fail(Kind::usage, "judge takes two files: the answers of A and those of B");
  if (flags.model.empty() == flags.reward_model.empty()) {
    fail(Kind::usage, "name one judge: --reward-model DIR, or --model DIR for a language model");
  }
  Stats stats;
  shard::Reader a({common.inputs[0]}), b({common.inputs[1]});
  const auto pairs = eval::pair_answers(a, b, stats);
  const auto device = runtime::open_device(common.device, common.threads);
  const bool by_reward = flags.model.empty();
  auto session =
      decode::open_session(*device, by_reward ? flags.reward_model : flags.model, decode::WithTokenizer::yes,
                           "", by_reward ? model::Head::scalar : model::Head::language);
  eval::JudgeReport report;
  const auto verdicts = by_reward ? eval::judge_by_reward(session, pairs, flags.judge, report)
                                  : eval::judge_by_model(session, pairs, flags.judge, report);
  std::vector<std::string> lines;
  for (const auto& verdict : verdicts) lines.push_back(verdict.to_line());
  write_lines(common.output, lines);
  log::info(report.to_json().dump());
  if (!flags.report_file.empty()) write_file(flags.report_file, report.to_json().dump() + "\n");
  stats.records_out = 2 * verdicts.size();
  tool.report(stats);
}

void run_rate(const cli::Tool& tool, Flags& flags) {
  Stats stats;
  shard::Reader reader(tool.common().inputs);
  const auto verdicts = eval::read_verdicts(reader, stats);
  flags.rating.seed = tool.common().seed;
  flags.rating.threads = tool.common().threads;
  const auto ratings = eval::rate(verdicts, flags.rating);
  std::vector<std::string> lines;
  for (const auto& row : ratings.rows) lines.push_back(row.to_json().dump());
  write_lines(tool.common().output, lines);
  if (ratings.replicates_skipped > 0) {
    log::warn(ratings.replicates_skipped, " of ", flags.rating.bootstrap,
              " bootstrap samples had no finite ratings and were left out");
  }
  stats.records_out = verdicts.size();
  tool.report(stats);
}

void run_win_rate(const cli::Tool& tool, Flags& flags) {
  Stats stats;
  shard::Reader reader(tool.common().inputs);
  const auto verdicts = eval::read_verdicts(reader, stats);
  if (!flags.difficulty.empty()) flags.win_rate.length.difficulty = eval::read_difficulty(flags.difficulty);
  if (!flags.variants.empty()) flags.win_rate.length.variants = eval::read_variants(flags.variants);
  std::vector<std::string> lines;
  for (const auto& row : eval::win_rates(verdicts, flags.win_rate)) lines.push_back(row.to_json().dump());
  write_lines(tool.common().output, lines);
  stats.records_out = verdicts.size();
  tool.report(stats);
}

}  // namespace

int main(int argc, char** argv) {
  Flags flags;
  cli::Tool tool("arena-judge",
                 "Judges answers of two models, and turns verdicts into ratings and win rates.");
  auto& judge = tool.subcommand("judge", "Answers of two models to the same prompts → verdicts.",
                                [&] { run_judge(tool, flags); });
  judge.inputs("two files of completions: model A's and model B's").output().threads().device().stats();
  judge.option("--reward-model", flags.reward_model, "judge by the rewards of this model");
  judge.option("--model", flags.model,
               "judge by the log-probability of a verdict under this language model, in both orders");
  judge.option("--name-a", flags.judge.name_a, "name of model A in the verdicts");
  judge.option("--name-b", flags.judge.name_b, "name of model B in the verdicts");
  judge.option("--temperature", flags.judge.temperature,
               "of the reward judge: P = 1 / (1 + e^(-(r_a - r_b) / T))");
  judge.option("--report", flags.report_file, "write wins, flip rate, position and length bias as JSON");
  judge.example(
      "arena-judge judge --reward-model out/reward --name-a dpo --name-b sft dpo.jsonl sft.jsonl -o "
      "verdicts.jsonl");

  auto& rate = tool.subcommand("rate", "Verdicts → ratings with intervals.", [&] { run_rate(tool, flags); });
  rate.inputs("verdicts").output().threads().seed().stats();
  rate.choice("--method", flags.rating.method,
              {{"bradley-terry", eval::RatingMethod::bradley_terry}, {"elo", eval::RatingMethod::elo}},
              "rating");
  rate.option("--bootstrap", flags.rating.bootstrap, "bootstrap samples for the intervals; 0 = none");
  rate.option("--confidence", flags.rating.confidence, "of the intervals");
  rate.option("--prior", flags.rating.prior,
              "virtual ties with an average player for each model: keeps every rating finite");
  rate.option("--anchor", flags.rating.anchor, "model whose rating is fixed");
  rate.option("--anchor-rating", flags.rating.anchor_rating, "what it is fixed at");
  rate.option("--k-factor", flags.rating.k_factor, "step of Elo");
  rate.example("arena-judge rate verdicts.jsonl");

  auto& win_rate =
      tool.subcommand("winrate", "Verdicts → win rates with intervals.", [&] { run_win_rate(tool, flags); });
  win_rate.inputs("verdicts, or AlpacaEval annotations").output().stats();
  win_rate.option("--baseline", flags.win_rate.baseline, "count battles against this model only");
  win_rate.option("--length-controlled", flags.win_rate.length_controlled,
                  "add the win rate at equal lengths");
  win_rate.option("--difficulty", flags.difficulty,
                  "CSV with columns inst, instruction_difficulty for the length control");
  win_rate.option("--variants", flags.variants,
                  "verdicts of the baseline's own longer and shorter variants against it");
  win_rate.option("--strength", flags.win_rate.length.strength, "C of the length control; 0 = chosen");
  win_rate.option("--confidence", flags.win_rate.confidence, "of the Wilson interval");
  win_rate.example("arena-judge winrate --baseline sft --length-controlled verdicts.jsonl");
  return tool.run(argc, argv);
}

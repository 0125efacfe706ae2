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
  eval::RatingOptions rating;
  eval::WinRateOptions win_rate;
  std::string report_file, difficulty, variants;
};

std::vector<eval::Verdict> read(const cli::Tool& tool, Stats& stats) {
  shard::Reader reader(tool.common().inputs);
  auto verdicts = eval::read_verdicts(reader, stats);
  stats.records_out = verdicts.size();
  return verdicts;
}

template <class Rows>
void write(const cli::Tool& tool, const Rows& rows, const Stats& stats) {
  OutputFile out(tool.common().output);
  for (const auto& row : rows) out.write(row.to_json().dump() + "\n");
  out.close();
  tool.report(stats);
}

void run_judge(const cli::Tool& tool, const Flags& flags) {
  const auto& common = tool.common();
  if (common.inputs.size() != 2) fail(Kind::usage, "judge takes two files: the answers of A and those of B");
  Stats stats;
  shard::Reader a({common.inputs[0]}), b({common.inputs[1]});
  const auto pairs = eval::pair_answers(a, b, stats);
  const auto device = runtime::open_device(common.device, common.threads);
  eval::JudgeReport report;
  const auto verdicts = eval::judge(*device, pairs, flags.judge, report);
  log::info(report.to_json().dump());
  if (!flags.report_file.empty()) write_file(flags.report_file, report.to_json().dump() + "\n");
  stats.records_out = 2 * verdicts.size();
  write(tool, verdicts, stats);
}

void run_rate(const cli::Tool& tool, Flags& flags) {
  Stats stats;
  const auto verdicts = read(tool, stats);
  flags.rating.seed = tool.common().seed;
  flags.rating.threads = tool.common().threads;
  const auto ratings = eval::rate(verdicts, flags.rating);
  if (ratings.replicates_skipped > 0) {
    log::warn(ratings.replicates_skipped, " of ", flags.rating.bootstrap,
              " bootstrap samples had no finite ratings and were left out");
  }
  write(tool, ratings.rows, stats);
}

void run_win_rate(const cli::Tool& tool, Flags& flags) {
  Stats stats;
  const auto verdicts = read(tool, stats);
  auto& length = flags.win_rate.length;
  if (!flags.difficulty.empty()) length.difficulty = eval::read_difficulty(flags.difficulty);
  if (!flags.variants.empty()) length.variants = eval::read_variants(flags.variants);
  write(tool, eval::win_rates(verdicts, flags.win_rate), stats);
}

}  // namespace

int main(int argc, char** argv) {
  Flags flags;
  cli::Tool tool("arena-judge",
                 "Judges answers of two models, and turns verdicts into ratings and win rates.");
  auto& judge = tool.subcommand("judge", "Answers of two models to the same prompts → verdicts.",
                                [&] { run_judge(tool, flags); });
  judge.inputs("two files of completions: model A's and model B's").output().threads().device().stats();
  judge.option("--reward-model", flags.judge.reward_model, "judge by the rewards of this model");
  judge.option("--model", flags.judge.model, "judge by this language model's verdicts, in both orders");
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
  rate.option("--prior", flags.rating.prior, "virtual ties of each model with an average player");
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
  win_rate.option("--difficulty", flags.difficulty, "CSV: inst, instruction_difficulty");
  win_rate.option("--variants", flags.variants, "verdicts of the baseline's own variants");
  win_rate.option("--strength", flags.win_rate.length.strength, "C of the length control; 0 = chosen");
  win_rate.option("--confidence", flags.win_rate.confidence, "of the Wilson interval");
  win_rate.example("arena-judge winrate --baseline sft --length-controlled verdicts.jsonl");
  return tool.run(argc, argv);
}

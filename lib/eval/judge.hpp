#pragma once

// Judging two models' answers to the same prompts, offline.
//
// Reward judge: P(a is better) = σ(r_a − r_b), r the reward model's value at the end of the conversation; a
// rule without an order. Language-model judge: a prompt shows both answers as A and B and asks for the better
// one's letter; z = log p(A) − log p(B) of the next token. Both orders are asked. If they disagree about the
// winner the verdict is a tie; otherwise P(a is better) = σ((z_ab − z_ba) / 2), which cancels an additive
// preference for a place exactly.

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.hpp"
#include "base/stats.hpp"
#include "decode/session.hpp"
#include "eval/verdict.hpp"
#include "shard/reader.hpp"
#include "shard/record.hpp"

namespace gristmill::eval {

/// One prompt with both answers.
struct Pair {
  std::string id;
  std::vector<shard::Message> prompt;  ///< a text prompt is one user message
  std::string answer_a, answer_b;
};

/// Joins two files of completions by "id", or by the prompt where records have none; never by position. What
/// only one side has, and further answers to the same prompt, is dropped and counted in `stats`. Error{input}
/// if nothing matches.
std::vector<Pair> pair_answers(shard::Reader& a, shard::Reader& b, Stats& stats);

struct JudgeOptions {
  std::string reward_model, model;  ///< directory of the judge: one of the two
  std::string name_a = "a", name_b = "b";
  double temperature = 1;  ///< of the reward judge: P = σ((r_a − r_b) / temperature)
  int64_t batch_tokens = 4096;
};

/// Figures about the judge itself.
struct JudgeReport {
  uint64_t pairs = 0, wins_a = 0, wins_b = 0, ties = 0;
  uint64_t flips = 0;  ///< pairs whose two orders named different answers (language-model judge)
  double first_rate =
      0;  ///< share of questions in which the first-shown answer was named; ½ without position bias
  uint64_t longer = 0,
           unequal = 0;    ///< pairs decided for the longer answer, of the decided ones with unequal lengths
  uint64_t truncated = 0;  ///< conversations that lost their beginning to the context
  bool has_order = false;
  Json to_json() const;
};

/// Verdicts by a reward model (opened with Head::scalar), in the order of the pairs.
std::vector<Verdict> judge_by_reward(decode::Session& reward, const std::vector<Pair>& pairs,
                                     const JudgeOptions& options, JudgeReport& report);

/// Verdicts by a language model's log-probabilities.
std::vector<Verdict> judge_by_model(decode::Session& judge, const std::vector<Pair>& pairs,
                                    const JudgeOptions& options, JudgeReport& report);

/// Opens the judge that the options name and lets it judge. Error{usage} unless exactly one is named.
std::vector<Verdict> judge(runtime::Device& device, const std::vector<Pair>& pairs,
                           const JudgeOptions& options, JudgeReport& report);

/// The question that the language-model judge is asked.
std::string judge_question(const Pair& pair, bool swapped);

/// The verdict of two orders: z = log p(first) − log p(second) with a first, then with b first.
struct TwoOrders {
  double preference = 0.5;
  bool flipped = false;
};
TwoOrders combine_orders(double a_first, double b_first);

}  // namespace gristmill::eval

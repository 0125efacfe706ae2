#include "eval/judge.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.hpp"
#include "base/progress.hpp"
#include "decode/reward.hpp"
#include "decode/scoring.hpp"
#include "text/utf8.hpp"
#include "tokenizer/chat_template.hpp"

namespace gristmill::eval {

namespace {

constexpr size_t kBlockPairs = 64;  ///< pairs whose conversations are held as ids at once

double sigmoid(double z) { return 1 / (1 + std::exp(-z)); }

std::vector<shard::Message> conversation(const Pair& pair, const std::string& answer) {
  auto messages = pair.prompt;
  messages.push_back({"assistant", answer});
  return messages;
}

Verdict to_verdict(const Pair& pair, const JudgeOptions& options, double preference, JudgeReport& report) {
  Verdict verdict;
  verdict.id = pair.id;
  verdict.model_a = options.name_a;
  verdict.model_b = options.name_b;
  verdict.preference = preference;
  verdict.length_a = static_cast<int64_t>(text::count_code_points(pair.answer_a));
  verdict.length_b = static_cast<int64_t>(text::count_code_points(pair.answer_b));
  ++report.pairs;
  ++(preference > 0.5 ? report.wins_a : preference < 0.5 ? report.wins_b : report.ties);
  if (preference != 0.5 && verdict.length_a != verdict.length_b) {
    ++report.unequal;
    if ((preference > 0.5) == (verdict.length_a > verdict.length_b)) ++report.longer;
  }
  return verdict;
}

void check(const JudgeOptions& options) {
  if (!(options.temperature > 0)) fail(Kind::usage, "the judge's --temperature is above 0");
  if (options.name_a == options.name_b)
    fail(Kind::usage, "--name-a and --name-b must differ: both are ", options.name_a);
}

/// Asks the language model and reads the log-odds of "A" over "B" as the reply's first token.
class Asker {
 public:
  Asker(decode::Session& session, const JudgeOptions& options)
      : session_(session),
        options_(options),
        chat_(session.tokens()),
        first_(only_token("A")),
        second_(only_token("B")) {}

  /// One number a question, in order; `truncated` counts questions that lost their beginning.
  std::vector<double> ask(const std::vector<std::string>& questions, uint64_t& truncated) {
    std::vector<decode::ScoreRequest> requests;
    const auto context = static_cast<size_t>(session_.model->config().context);
    for (const auto& question : questions) {
      const std::vector<shard::Message> messages = {{"user", question}};
      auto ids = chat_.prompt(messages);
      if (ids.size() > context) {
        ids.erase(ids.begin(), ids.end() - static_cast<std::ptrdiff_t>(context));
        ++truncated;
      }
      for (const uint32_t letter : {first_, second_}) {
        requests.push_back({ids, ids.size()});
        requests.back().ids.push_back(letter);
      }
    }
    const auto scores = decode::score(*session_.model, requests, options_.batch_tokens);
    std::vector<double> odds;
    for (size_t i = 0; i < questions.size(); ++i) {
      odds.push_back(scores[2 * i].at(0) - scores[2 * i + 1].at(0));
      if (!std::isfinite(odds.back()))
        fail(Kind::input, session_.path, ": the judge's probabilities are no numbers");
    }
    return odds;
  }

 private:
  uint32_t only_token(const char* letter) const {
    const auto ids = session_.tokens().encode(letter);
    if (ids.size() != 1) fail(Kind::input, "the judge's tokenizer has no token for the letter ", letter);
    return ids[0];
  }

  decode::Session& session_;
  const JudgeOptions& options_;
  tokenizer::ChatTemplate chat_;
  uint32_t first_, second_;
};

}  // namespace

Json JudgeReport::to_json() const {
  const auto share = [](uint64_t part, uint64_t whole) {
    return whole == 0 ? Json() : Json(static_cast<double>(part) / static_cast<double>(whole));
  };
  Json json = Json::object();
  json["pairs"] = pairs;
  json["wins_a"] = wins_a;
  json["wins_b"] = wins_b;
  json["ties"] = ties;
  json["flip_rate"] = has_order ? share(flips, pairs) : Json();
  json["first_rate"] = has_order ? Json(first_rate) : Json();
  json["longer_rate"] = share(longer, unequal);
  json["truncated"] = truncated;
  return json;
}

std::string judge_question(const Pair& pair, bool swapped) {
  std::string text = "Two assistants answered the same request. Say which answer is better.\n\n";
  for (const auto& message : pair.prompt) text += str("[", message.role, "]\n", message.content, "\n\n");
  text += str("[Answer A]\n", swapped ? pair.answer_b : pair.answer_a, "\n\n");
  text += str("[Answer B]\n", swapped ? pair.answer_a : pair.answer_b, "\n\n");
  return text + "Reply with one letter, A or B.";
}

TwoOrders combine_orders(double a_first, double b_first) {
  // In the second order a positive z speaks for b.
  const bool agree = (a_first > 0 && b_first < 0) || (a_first < 0 && b_first > 0);
  if (!agree) return {0.5, a_first != 0 || b_first != 0};
  return {sigmoid((a_first - b_first) / 2), false};
}

std::vector<Verdict> judge_by_reward(decode::Session& reward, const std::vector<Pair>& pairs,
                                     const JudgeOptions& options, JudgeReport& report) {
  check(options);
  progress::Counter progress("judging", "pairs", pairs.size());
  std::vector<Verdict> verdicts;
  for (size_t begin = 0; begin < pairs.size(); begin += kBlockPairs) {
    const size_t end = std::min(pairs.size(), begin + kBlockPairs);
    std::vector<std::vector<shard::Message>> conversations;
    for (size_t i = begin; i < end; ++i) {
      conversations.push_back(conversation(pairs[i], pairs[i].answer_a));
      conversations.push_back(conversation(pairs[i], pairs[i].answer_b));
    }
    const auto rewards = decode::score_conversations(*reward.model, reward.tokens(), conversations,
                                                     &report.truncated, options.batch_tokens);
    for (size_t i = begin; i < end; ++i) {
      const double a = rewards[2 * (i - begin)], b = rewards[2 * (i - begin) + 1];
      verdicts.push_back(to_verdict(pairs[i], options, sigmoid((a - b) / options.temperature), report));
      verdicts.back().extra["reward_a"] = a;
      verdicts.back().extra["reward_b"] = b;
    }
    progress.add(end - begin);
  }
  return verdicts;
}

std::vector<Verdict> judge_by_model(decode::Session& judge, const std::vector<Pair>& pairs,
                                    const JudgeOptions& options, JudgeReport& report) {
  check(options);
  report.has_order = true;
  progress::Counter progress("judging", "pairs", pairs.size());
  Asker asker(judge, options);
  std::vector<Verdict> verdicts;
  double first = 0;
  for (size_t begin = 0; begin < pairs.size(); begin += kBlockPairs) {
    const size_t end = std::min(pairs.size(), begin + kBlockPairs);
    std::vector<std::string> questions;
    for (size_t i = begin; i < end; ++i) {
      questions.push_back(judge_question(pairs[i], false));
      questions.push_back(judge_question(pairs[i], true));
    }
    const auto odds = asker.ask(questions, report.truncated);
    for (const double z : odds) first += z > 0 ? 1 : z == 0 ? 0.5 : 0;
    for (size_t i = begin; i < end; ++i) {
      const double a_first = odds[2 * (i - begin)], b_first = odds[2 * (i - begin) + 1];
      const auto both = combine_orders(a_first, b_first);
      report.flips += both.flipped ? 1 : 0;
      verdicts.push_back(to_verdict(pairs[i], options, both.preference, report));
      verdicts.back().extra["log_odds"] = (a_first - b_first) / 2;
      verdicts.back().extra["consistent"] = !both.flipped;
    }
    progress.add(end - begin);
  }
  report.first_rate = first / static_cast<double>(2 * pairs.size());
  return verdicts;
}

std::vector<Verdict> judge(runtime::Device& device, const std::vector<Pair>& pairs,
                           const JudgeOptions& options, JudgeReport& report) {
  if (options.model.empty() == options.reward_model.empty()) {
    fail(Kind::usage, "name one judge: --reward-model DIR, or --model DIR for a language model");
  }
  const bool by_reward = options.model.empty();
  auto session = decode::open_session(device, by_reward ? options.reward_model : options.model,
                                      decode::WithTokenizer::yes, "",
                                      by_reward ? model::Head::scalar : model::Head::language);
  return by_reward ? judge_by_reward(session, pairs, options, report)
                   : judge_by_model(session, pairs, options, report);
}

}  // namespace gristmill::eval

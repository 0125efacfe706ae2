#include "eval/judge.hpp"

#include <cmath>
#include <fstream>

#include "base/error.hpp"
#include "support/catch.hpp"
#include "support/scratch.hpp"
#include "support/tiny_model.hpp"

using namespace gristmill;
using namespace gristmill::eval;

namespace {

std::vector<Pair> pair_lines(const std::string& a, const std::string& b, Stats& stats) {
  const test::ScratchFolder folder;
  std::ofstream(folder.file("a.jsonl")) << a;
  std::ofstream(folder.file("b.jsonl")) << b;
  shard::Reader first({folder.file("a.jsonl")}), second({folder.file("b.jsonl")});
  return pair_answers(first, second, stats);
}

decode::Session tiny_session(runtime::Device& device, model::Head head) {
  decode::Session session;
  session.path = "tiny";
  session.tokenizer = std::make_unique<tokenizer::Tokenizer>(
      tokenizer::Tokenizer::load(test::testdata("tokenizer/small.json").string()));
  session.model = std::make_unique<model::Transformer>(
      test::tiny_model(device, test::tiny_config(session.tokenizer->vocab_size(), 256, head)));
  return session;
}

std::vector<Pair> some_pairs() {
  std::vector<Pair> pairs;
  for (int i = 0; i < 10; ++i) {
    pairs.push_back({str(i),
                     {{"user", str("question ", i)}},
                     str("the stone ", i * 7),
                     str("a sack of grain, ", i * 3, "?")});
  }
  return pairs;
}

}  // namespace

TEST_CASE("answers are joined by id or prompt, never by position, and the rest is counted", "[eval]") {
  Stats stats;
  const auto pairs = pair_lines(
      "{\"id\":\"1\",\"prompt\":\"p\",\"text\":\"a1\"}\n{\"id\":\"2\",\"prompt\":\"q\",\"text\":\"a2\"}\n"
      "{\"id\":\"2\",\"prompt\":\"q\",\"text\":\"again\"}\n{\"prompt\":\"r\",\"text\":\"a3\"}\n{\"prompt\":"
      "\"lost\",\"text\":\"\"}\n",
      "{\"prompt\":[{\"role\":\"user\",\"content\":\"r\"}],\"text\":\"b3\"}\n{\"id\":\"2\",\"prompt\":\"q\","
      "\"text\":\"b2\"}\n"
      "{\"id\":\"1\",\"prompt\":\"p\",\"text\":\"b1\"}\n{\"id\":\"9\",\"prompt\":\"z\",\"text\":\"b9\"}\n",
      stats);
  REQUIRE(pairs.size() == 3);
  CHECK(pairs[0].answer_a == "a1");
  CHECK(pairs[0].answer_b == "b1");
  CHECK(pairs[2].answer_a == "a3");
  CHECK(pairs[2].answer_b == "b3");
  CHECK(stats.dropped.at("repeated_in_a") == 1);
  CHECK(stats.dropped.at("only_in_a") == 1);
  CHECK(stats.dropped.at("only_in_b") == 1);
  CHECK(stats.records_in == 2 * pairs.size() + stats.records_dropped());
  CHECK_THROWS_WITH(
      pair_lines("{\"prompt\":\"p\",\"text\":\"\"}\n", "{\"prompt\":\"q\",\"text\":\"\"}\n", stats),
      gristmill::test::contains("same prompts"));
  CHECK_THROWS_WITH(pair_lines("{\"id\":1,\"prompt\":\"p\",\"text\":\"\"}\n",
                               "{\"id\":1,\"prompt\":\"q\",\"text\":\"\"}\n", stats),
                    gristmill::test::contains("another prompt"));
}

TEST_CASE("two orders that agree give their mean log-odds, two that disagree a tie", "[eval]") {
  CHECK(combine_orders(2, -1).preference == Approx(1 / (1 + std::exp(-1.5))));
  CHECK_FALSE(combine_orders(2, -1).flipped);
  CHECK(combine_orders(-3, 1).preference == Approx(1 / (1 + std::exp(2.0))));
  CHECK(combine_orders(2, 1).preference == 0.5);
  CHECK(combine_orders(2, 1).flipped);
  CHECK(combine_orders(0, 0).preference == 0.5);
  CHECK_FALSE(combine_orders(0, 0).flipped);
}

TEST_CASE("the reward judge mirrors its verdicts when the sides are exchanged", "[eval]") {
  const auto device = runtime::open_device("cpu", 1);
  auto session = tiny_session(*device, model::Head::scalar);
  auto pairs = some_pairs();
  JudgeReport report, mirrored;
  const auto verdicts = judge_by_reward(session, pairs, {}, report);
  for (auto& pair : pairs) std::swap(pair.answer_a, pair.answer_b);
  const auto others = judge_by_reward(session, pairs, {}, mirrored);
  for (size_t i = 0; i < pairs.size(); ++i) {
    CHECK(verdicts[i].preference + others[i].preference == Approx(1).epsilon(1e-9));
    CHECK(verdicts[i].length_a == others[i].length_b);
  }
  CHECK(report.wins_a == mirrored.wins_b);
  CHECK(report.pairs == 10);
  CHECK(report.to_json().at("flip_rate").is_null());
}

TEST_CASE("the language-model judge asks both orders and counts contradictions as ties", "[eval]") {
  const auto device = runtime::open_device("cpu", 1);
  auto session = tiny_session(*device, model::Head::language);
  auto pairs = some_pairs();
  JudgeReport report, mirrored;
  const auto verdicts = judge_by_model(session, pairs, {}, report);
  for (auto& pair : pairs) std::swap(pair.answer_a, pair.answer_b);
  const auto others = judge_by_model(session, pairs, {}, mirrored);
  uint64_t ties = 0;
  for (size_t i = 0; i < pairs.size(); ++i) {
    CHECK(verdicts[i].preference + others[i].preference == Approx(1).epsilon(1e-9));
    if (!verdicts[i].extra.at("consistent").as_bool()) {
      CHECK(verdicts[i].preference == 0.5);
      ++ties;
    }
  }
  CHECK(report.flips == ties);
  CHECK(report.ties == ties);
  CHECK(report.first_rate == Approx(mirrored.first_rate));
}

TEST_CASE("equal names and a temperature of zero are refused", "[eval]") {
  const auto device = runtime::open_device("cpu", 1);
  auto session = tiny_session(*device, model::Head::scalar);
  JudgeReport report;
  JudgeOptions options;
  options.name_b = "a";
  CHECK_THROWS_AS(judge_by_reward(session, some_pairs(), options, report), Error);
  options = {};
  options.temperature = 0;
  CHECK_THROWS_AS(judge_by_reward(session, some_pairs(), options, report), Error);
}

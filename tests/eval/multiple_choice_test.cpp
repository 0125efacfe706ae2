#include "eval/multiple_choice.hpp"

#include <cmath>

#include "base/error.hpp"
#include "decode/scoring.hpp"
#include "support/catch.hpp"
#include "support/tiny_model.hpp"

using namespace gristmill;
using namespace gristmill::eval;

namespace {

decode::Session tiny_session(runtime::Device& device, int64_t context) {
  decode::Session session;
  session.path = "tiny";
  session.tokenizer = std::make_unique<tokenizer::Tokenizer>(
      tokenizer::Tokenizer::load(test::testdata("tokenizer/small.json").string()));
  session.model = std::make_unique<model::Transformer>(
      test::tiny_model(device, test::tiny_config(session.tokenizer->vocab_size(), context)));
  return session;
}

const char* kMmlu =
    R"({"question":"What turns a mill?","choices":["wind","sand","ink","fear"],"answer":"A","subject":"rural_crafts"})";

}  // namespace

TEST_CASE("the three styles put a question in their published forms", "[eval]") {
  const auto question = Question::parse(kMmlu, "t", Task::mmlu);
  CHECK(render_question(question, Style::original, {question}) ==
        "The following are multiple choice questions (with answers) about  rural crafts.\n\n"
        "What turns a mill?\nA. wind\nB. sand\nC. ink\nD. fear\nAnswer: A\n\n"
        "What turns a mill?\nA. wind\nB. sand\nC. ink\nD. fear\nAnswer:");
  CHECK(render_question(question, Style::helm, {}) ==
        "The following are multiple choice questions (with answers) about rural crafts.\n\n"
        "Question: What turns a mill?\nA. wind\nB. sand\nC. ink\nD. fear\nAnswer:");
  CHECK(render_question(question, Style::harness, {question}) ==
        "Question: What turns a mill?\nAnswer: wind\n\nQuestion: What turns a mill?\nAnswer:");
}

TEST_CASE("HellaSwag's texts are cleaned as the harness does", "[eval]") {
  const auto question = Question::parse(
      R"({"activity_label":"Baking","ctx_a":"A man [header] stands.","ctx_b":"HE then","endings":["runs  off [title] Now","sits"],"label":"1"})",
      "t", Task::hellaswag);
  CHECK(question.context == "Baking: A man stands. He then");
  CHECK(question.choices[0] == "runs off. Now");
  CHECK(question.answer == 1);
}

TEST_CASE("answers may be indices, digits or letters, and damaged questions say where", "[eval]") {
  for (const auto* answer : {"2", "\"2\"", "\"C\"", "\"c\""}) {
    const std::string line = str(R"({"context":"x","choices":["p","q","r"],"answer":)", answer, "}");
    CHECK(Question::parse(line, "t", Task::choices).answer == 2);
  }
  for (const auto* line :
       {R"({"context":"x","choices":["p","q"],"answer":2})", R"({"context":"x","choices":["p"],"answer":0})",
        R"({"choices":["p","q"],"answer":0})", R"({"context":"x","choices":["p",""],"answer":0})",
        R"({"context":"x","choices":["p","q"]})", R"({"context":"x","choices":"pq","answer":0})", "[]"}) {
    CAPTURE(line);
    CHECK_THROWS_WITH(Question::parse(line, "file, record 3", Task::choices),
                      Catch::Matchers::StartsWith("file, record 3"));
  }
}

TEST_CASE("the first choice wins ties and lengths divide", "[eval]") {
  Outcome outcome;
  outcome.log_probs = {-4, -4, -6};
  CHECK(outcome.pick({}) == 0);
  CHECK(outcome.pick({1, 4, 12}) == 2);
  CHECK(outcome.pick({2, 2, 3}) == 0);
}

TEST_CASE("a choice's score is the log-probability of its tokens behind the context", "[eval]") {
  const auto device = runtime::open_device("cpu", 1);
  auto session = tiny_session(*device, 64);
  const auto question = Question::parse(
      R"({"context":"the stone ","choices":["wheel turns","sack"],"answer":1})", "t", Task::choices);
  const auto outcomes = run_benchmark(session, {question}, {});
  REQUIRE(outcomes.size() == 1);
  CHECK(outcomes[0].characters == std::vector<uint64_t>{11, 4});
  for (size_t i = 0; i < 2; ++i) {
    std::vector<uint32_t> ids = {session.tokens().end_of_text()};
    session.tokens().encode("the stone", ids);
    const size_t from = ids.size();
    std::vector<uint32_t> whole = {session.tokens().end_of_text()};
    session.tokens().encode("the stone " + question.choices[i], whole);
    double expected = 0;
    const auto scores = decode::score(*session.model, {{whole, from}});
    for (const double value : scores[0]) expected += value;
    CHECK(outcomes[0].log_probs[i] == Approx(expected).epsilon(1e-6));
  }
}

TEST_CASE("all styles run in one pass, and examples are dropped before the question is cut", "[eval]") {
  const auto device = runtime::open_device("cpu", 1);
  auto session = tiny_session(*device, 160);
  auto question = Question::parse(kMmlu, "t", Task::mmlu);
  BenchmarkOptions options;
  options.styles = {Style::harness, Style::original, Style::helm};
  options.shots = 5;
  options.examples.assign(5, question);
  const std::vector<Question> questions(3, question);
  const auto outcomes = run_benchmark(session, questions, options);
  REQUIRE(outcomes.size() == 9);
  for (const auto& outcome : outcomes) {
    // Only the short form has room for all five.
    CHECK((outcome.shots == 5) == (outcome.style == Style::harness));
    CHECK_FALSE(outcome.truncated);
  }
  const Json report = summarize_benchmark(questions, outcomes, Task::mmlu);
  CHECK(report.at("random_baseline").as_double() == 0.25);
  CHECK(report.at("results").as_array().size() == 3);
  CHECK(report.at("results").as_array()[0].at("subjects").find("rural_crafts") != nullptr);
  // One question asked three times is right three times or never.
  const double acc = report.at("results").as_array()[1].at("acc").as_double();
  CHECK((acc == 0 || acc == 1));
  CHECK(report.at("results").as_array()[1].at("acc_stderr").as_double() == 0);
  question.context = std::string(400, 'x');
  const auto cut = run_benchmark(session, {question}, options);
  for (const auto& outcome : cut) {
    CHECK(outcome.truncated);
    CHECK(outcome.shots == 0);
  }
}

TEST_CASE("shots without examples are refused", "[eval]") {
  const auto device = runtime::open_device("cpu", 1);
  auto session = tiny_session(*device, 64);
  BenchmarkOptions options;
  options.shots = 1;
  CHECK_THROWS_WITH(run_benchmark(session, {Question::parse(kMmlu, "t", Task::mmlu)}, options),
                    gristmill::test::contains("--dev"));
}

#include "eval/verdict.hpp"

#include "base/error.hpp"
#include "support/catch.hpp"

using namespace gristmill;
using namespace gristmill::eval;

TEST_CASE("a verdict comes back from its own line with foreign keys", "[eval]") {
  const auto verdict = Verdict::parse(
      R"({"id":"p1","model_a":"x","model_b":"y","preference":0.25,"length_a":3,"length_b":9,"judge":"gold"})",
      "t");
  REQUIRE(verdict);
  CHECK(verdict->preference == 0.25);
  CHECK(
      verdict->to_line() ==
      R"({"id":"p1","model_a":"x","model_b":"y","preference":0.25,"winner":"model_b","length_a":3,"length_b":9,"judge":"gold"})");
}

TEST_CASE("votes with a winner alone are read in both spellings", "[eval]") {
  CHECK(Verdict::parse(R"({"model_a":"x","model_b":"y","winner":"model_a"})", "t")->preference == 1);
  const auto both_bad = R"~({"model_a":"x","model_b":"y","winner":"tie (bothbad)"})~";
  CHECK(Verdict::parse(both_bad, "t")->preference == 0.5);
  CHECK(Verdict::parse(R"({"left":"x","right":"y","winner":"right"})", "t")->preference == 0);
}

TEST_CASE("an AlpacaEval annotation has the model as its second side", "[eval]") {
  const auto verdict = Verdict::parse(
      R"({"instruction":"i","output_1":"abc","output_2":"Größe","generator_1":"base","generator_2":"m","preference":1.75})",
      "t");
  REQUIRE(verdict);
  CHECK(verdict->model_b == "m");
  CHECK(verdict->preference == 0.25);
  CHECK(verdict->length_a == 3);
  CHECK(verdict->length_b == 5);
  CHECK(Verdict::parse(R"({"inst":3,"len_1":1,"len_2":2,"pref":0.0})", "t")->preference == 0.5);
  CHECK_FALSE(Verdict::parse(R"({"inst":3,"len_1":1,"len_2":2,"pref":null})", "t"));
}

TEST_CASE("damaged verdicts are errors that say where", "[eval]") {
  for (const auto* line :
       {R"({"model_a":"x","model_b":"x","winner":"tie"})", R"({"model_a":"x","winner":"tie"})",
        R"({"model_a":"x","model_b":"y"})", R"({"model_a":"x","model_b":"y","winner":"me"})",
        R"({"model_a":"x","model_b":"y","preference":1.5})", R"({"inst":1,"pref":0.5})",
        R"({"model_a":"x","model_b":"y","preference":1,"length_a":-4})", "[]", "{"}) {
    CAPTURE(line);
    CHECK_THROWS_WITH(Verdict::parse(line, "file, record 7"), Catch::Matchers::StartsWith("file, record 7"));
  }
}

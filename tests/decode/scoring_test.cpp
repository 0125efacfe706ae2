#include "decode/scoring.hpp"

#include <cmath>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/json.hpp"
#include "support/catch.hpp"
#include "support/tiny_model.hpp"

using namespace gristmill;
using namespace gristmill::decode;

TEST_CASE("scores of every packing agree to the bit", "[decode]") {
  const auto device = runtime::open_device("cpu", 2);
  auto model = test::tiny_model(*device, test::tiny_config(40));
  std::vector<ScoreRequest> requests;
  for (uint32_t i = 0; i < 12; ++i) {
    ScoreRequest request;
    for (uint32_t t = 0; t < 3 + i * 5 % 17; ++t) request.ids.push_back((i * 11 + t * 7) % 40);
    request.first_scored = 1 + i % 3;
    requests.push_back(request);
  }
  const auto whole = score(model, requests);
  for (const int64_t batch_tokens : {1, 16, 50}) {
    const auto parts = score(model, requests, batch_tokens);
    for (size_t i = 0; i < requests.size(); ++i) {
      REQUIRE(whole[i].size() == requests[i].ids.size() - requests[i].first_scored);
      for (size_t t = 0; t < whole[i].size(); ++t) CHECK(parts[i][t] == Approx(whole[i][t]).epsilon(1e-5));
    }
  }
}

TEST_CASE("probabilities of all continuations sum to one, at any temperature", "[decode]") {
  const auto device = runtime::open_reference_device(runtime::DType::f64);
  auto model = test::tiny_model(*device, test::tiny_config(40));
  std::vector<ScoreRequest> requests;
  for (uint32_t id = 0; id < 40; ++id) requests.push_back({{9, 8, id}, 2});
  for (const double scale : {1.0, 2.0}) {
    double sum = 0;
    for (const auto& values : score(model, requests, 64, scale)) sum += std::exp(values[0]);
    CHECK(sum == Approx(1).epsilon(1e-12));
  }
}

TEST_CASE("likelihoods of the golden models are the reference's", "[decode]") {
  REQUIRE_EXTERNAL_DATA(folder, "models/golden");
  const auto device = runtime::open_device("cpu", 1);
  for (const std::string name : {"gpt2", "llama-gqa-untied"}) {
    const auto model = model::load_model(*device, (folder / name).string());
    LineReader lines((folder / name / "nll.jsonl").string());
    std::string_view line;
    while (lines.next(line)) {
      const Json json = Json::parse(line);
      ScoreRequest request;
      for (const auto& id : json.at("ids").as_array())
        request.ids.push_back(static_cast<uint32_t>(id.as_uint()));
      double nll = 0;
      const auto scores = score(*model, {request});
      for (const double value : scores[0]) nll -= value;
      CHECK(nll == Approx(json.at("nll").as_double()).epsilon(1e-6));
    }
  }
}

TEST_CASE("what cannot be scored is refused", "[decode]") {
  const auto device = runtime::open_device("cpu", 1);
  auto model = test::tiny_model(*device, test::tiny_config(40, 8));
  CHECK(score(model, {{std::vector<uint32_t>(9, 1), 1}})[0].size() == 8);
  CHECK_THROWS_WITH(score(model, {{std::vector<uint32_t>(10, 1), 1}}),
                    gristmill::test::contains("context of 8"));
  CHECK_THROWS_WITH(score(model, {{{1, 40}, 1}}), gristmill::test::contains("outside the vocabulary"));
  CHECK_THROWS_AS(score(model, {{{}, 1}}), Error);
  CHECK_THROWS_AS(score(model, {{{1, 2}, 0}}), Error);
  CHECK(score(model, {{{1}, 1}})[0].empty());
}

#include "decode/generator.hpp"

#include <algorithm>
#include <cmath>
#include <map>

#include "base/error.hpp"
#include "decode/scoring.hpp"
#include "support/catch.hpp"
#include "support/tiny_model.hpp"

using namespace gristmill;
using namespace gristmill::decode;

namespace {

constexpr int64_t kVocab = 40;

std::vector<Request> requests(size_t count) {
  std::vector<Request> list;
  for (size_t i = 0; i < count; ++i) {
    Request request;
    for (size_t t = 0; t <= i * 5 % 11; ++t)
      request.prompt.push_back(static_cast<uint32_t>((i * 7 + t * 3) % kVocab));
    request.stream = i;
    list.push_back(request);
  }
  return list;
}

GenerateOptions sampled(int64_t batch) {
  GenerateOptions options;
  options.max_tokens = 12;
  options.stop_ids = {3};
  options.batch = batch;
  return options;
}

}  // namespace

TEST_CASE("a completion does not depend on the batch it was made in", "[decode]") {
  const auto device = runtime::open_device("cpu", 2);
  auto model = test::tiny_model(*device, test::tiny_config(kVocab));
  const auto all = requests(13);
  const auto alone = generate(model, all, sampled(1));
  for (const int64_t batch : {2, 5, 32}) {
    const auto together = generate(model, all, sampled(batch));
    for (size_t i = 0; i < all.size(); ++i) {
      CAPTURE(batch, i);
      CHECK(together[i].ids == alone[i].ids);
      CHECK(together[i].log_probs == alone[i].log_probs);
      CHECK(together[i].finish == alone[i].finish);
    }
  }
  const auto single = generate(model, {all[7]}, sampled(32));
  CHECK(single[0].ids == alone[7].ids);
}

TEST_CASE("greedy tokens are the most likely ones of the uncached model, with their log-probabilities",
          "[decode]") {
  const auto device = runtime::guard_device(runtime::open_reference_device(runtime::DType::f64));
  auto model = test::tiny_model(*device, test::tiny_config(kVocab));
  GenerateOptions options;
  options.sampling.temperature = 0;
  options.max_tokens = 6;
  const auto all = requests(4);
  const auto completions = generate(model, all, options);
  for (size_t i = 0; i < all.size(); ++i) {
    auto ids = all[i].prompt;
    for (size_t t = 0; t < completions[i].ids.size(); ++t) {
      std::vector<ScoreRequest> candidates;
      for (uint32_t id = 0; id < kVocab; ++id) {
        candidates.push_back({ids, ids.size()});
        candidates.back().ids.push_back(id);
      }
      const auto scores = score(model, candidates);
      uint32_t best = 0;
      for (uint32_t id = 1; id < kVocab; ++id) {
        if (scores[id][0] > scores[best][0]) best = id;
      }
      CHECK(completions[i].ids[t] == best);
      CHECK(completions[i].log_probs[t] == Approx(scores[best][0]).epsilon(1e-9));
      ids.push_back(best);
    }
  }
}

TEST_CASE("log-probabilities of drawn tokens are those of scoring at the sampling temperature", "[decode]") {
  const auto device = runtime::open_device("cpu", 1);
  auto model = test::tiny_model(*device, test::tiny_config(kVocab));
  auto options = sampled(4);
  options.sampling.temperature = 0.7;
  options.sampling.top_k = 5;
  const auto all = requests(6);
  const auto completions = generate(model, all, options);
  std::vector<ScoreRequest> again;
  for (size_t i = 0; i < all.size(); ++i) {
    again.push_back({all[i].prompt, all[i].prompt.size()});
    again[i].ids.insert(again[i].ids.end(), completions[i].ids.begin(), completions[i].ids.end());
  }
  const auto scores = score(model, again, 4096, 1 / 0.7);
  for (size_t i = 0; i < all.size(); ++i) {
    REQUIRE(scores[i].size() == completions[i].log_probs.size());
    for (size_t t = 0; t < scores[i].size(); ++t)
      CHECK(std::abs(scores[i][t] - completions[i].log_probs[t]) < 1e-4);
  }
}

TEST_CASE("a stop id ends a sequence and is its last id", "[decode]") {
  const auto device = runtime::open_device("cpu", 1);
  auto model = test::tiny_model(*device, test::tiny_config(kVocab));
  auto options = sampled(8);
  options.stop_ids = {1, 4, 9, 16, 25};
  options.max_tokens = 40;
  size_t stopped = 0;
  for (const auto& completion : generate(model, requests(20), options)) {
    const auto is_stop = [&](uint32_t id) {
      return std::count(options.stop_ids.begin(), options.stop_ids.end(), id) > 0;
    };
    const auto first = std::find_if(completion.ids.begin(), completion.ids.end(), is_stop);
    if (completion.finish == Finish::stop) {
      ++stopped;
      CHECK(first + 1 == completion.ids.end());
    } else {
      CHECK(first == completion.ids.end());
    }
  }
  CHECK(stopped > 10);
}

TEST_CASE("a sequence never outgrows the context", "[decode]") {
  const auto device = runtime::open_device("cpu", 1);
  auto model = test::tiny_model(*device, test::tiny_config(kVocab, 16));
  GenerateOptions options;
  options.max_tokens = 100;
  const std::vector<uint32_t> prompt(15, 2);
  CHECK(generate(model, {{prompt, 0}}, options)[0].ids.size() == 1);
  CHECK(generate(model, {{{2, 2}, 0}}, options)[0].ids.size() == 14);
  options.max_tokens = 0;
  CHECK(generate(model, {{prompt, 0}}, options)[0].ids.empty());
  CHECK_THROWS_WITH(generate(model, {{std::vector<uint32_t>(16, 2), 0}}, options),
                    gristmill::test::contains("context is 16"));
}

TEST_CASE("top-k of one is greedy, and min-p and top-p near their ends too", "[decode]") {
  const auto device = runtime::open_device("cpu", 1);
  auto model = test::tiny_model(*device, test::tiny_config(kVocab));
  auto options = sampled(4);
  options.sampling.temperature = 0;
  const auto greedy = generate(model, requests(5), options);
  for (int filter = 0; filter < 3; ++filter) {
    options.sampling = {};
    if (filter == 0) options.sampling.top_k = 1;
    if (filter == 1) options.sampling.top_p = 1e-9;
    if (filter == 2) options.sampling.min_p = 1;
    const auto filtered = generate(model, requests(5), options);
    for (size_t i = 0; i < greedy.size(); ++i) CHECK(filtered[i].ids == greedy[i].ids);
  }
}

TEST_CASE("drawn tokens follow the model's distribution", "[decode]") {
  const auto device = runtime::open_device("cpu", 1);
  auto model = test::tiny_model(*device, test::tiny_config(kVocab));
  const std::vector<uint32_t> prompt = {5, 6, 7};
  std::vector<Request> samples;
  for (uint64_t i = 0; i < 4000; ++i) samples.push_back({prompt, i});
  GenerateOptions options;
  options.max_tokens = 1;
  options.batch = 256;
  std::map<uint32_t, double> counts;
  for (const auto& completion : generate(model, samples, options)) ++counts[completion.ids[0]];
  std::vector<ScoreRequest> candidates;
  for (uint32_t id = 0; id < kVocab; ++id) candidates.push_back({{5, 6, 7, id}, 3});
  const auto scores = score(model, candidates);
  double chi_square = 0;
  for (uint32_t id = 0; id < kVocab; ++id) {
    const double expected = 4000 * std::exp(scores[id][0]);
    chi_square += (counts[id] - expected) * (counts[id] - expected) / expected;
  }
  CHECK(chi_square < 80);  // 39 degrees of freedom: one in 10,000 seeds would exceed it
}

TEST_CASE("tokens are reported as they come", "[decode]") {
  const auto device = runtime::open_device("cpu", 1);
  auto model = test::tiny_model(*device, test::tiny_config(kVocab));
  std::map<size_t, std::vector<uint32_t>> seen;
  const auto completions = generate(model, requests(5), sampled(2),
                                    [&](size_t request, uint32_t id) { seen[request].push_back(id); });
  for (size_t i = 0; i < completions.size(); ++i) CHECK(seen[i] == completions[i].ids);
}

TEST_CASE("bad requests and settings are refused", "[decode]") {
  const auto device = runtime::open_device("cpu", 1);
  auto model = test::tiny_model(*device, test::tiny_config(kVocab));
  CHECK_THROWS_WITH(generate(model, {{{}, 0}}, {}), gristmill::test::contains("empty"));
  CHECK_THROWS_WITH(generate(model, {{{kVocab}, 0}}, {}),
                    gristmill::test::contains("outside the vocabulary"));
  CHECK(generate(model, {}, {}).empty());
  const auto bad = [&](auto change) {
    GenerateOptions options;
    change(options);
    CHECK_THROWS_AS(generate(model, {{{1}, 0}}, options), Error);
  };
  bad([](GenerateOptions& o) { o.batch = 0; });
  bad([](GenerateOptions& o) { o.max_tokens = -1; });
  bad([](GenerateOptions& o) { o.sampling.temperature = std::nan(""); });
  bad([](GenerateOptions& o) { o.sampling.top_p = 0; });
  bad([](GenerateOptions& o) { o.sampling.top_k = -1; });
  bad([](GenerateOptions& o) { o.sampling.min_p = 2; });
}

TEST_CASE("a model whose logits are no numbers is an error, not text", "[decode]") {
  const auto device = runtime::open_device("cpu", 1);
  auto model = test::tiny_model(*device, test::tiny_config(kVocab));
  device->backend().fill(model.parameters().all(), std::nan(""));
  GenerateOptions options;
  options.sampling.temperature = 0;
  CHECK_THROWS_WITH(generate(model, {{{1}, 0}}, options), gristmill::test::contains("damaged"));
}

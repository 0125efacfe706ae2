#include "eval/perplexity.hpp"

#include <cmath>
#include <fstream>
#include <limits>

#include "base/error.hpp"
#include "support/catch.hpp"
#include "support/scratch.hpp"
#include "support/tiny_model.hpp"

using namespace gristmill;
using namespace gristmill::eval;

namespace {

decode::Session tiny_session(runtime::Device& device, int64_t context = 16) {
  decode::Session session;
  session.path = "tiny";
  session.tokenizer = std::make_unique<tokenizer::Tokenizer>(
      tokenizer::Tokenizer::load(test::testdata("tokenizer/small.json").string()));
  session.model = std::make_unique<model::Transformer>(
      test::tiny_model(device, test::tiny_config(session.tokenizer->vocab_size(), context)));
  return session;
}

Likelihood score_lines(decode::Session& session, const std::string& lines, const PerplexityOptions& options,
                       std::vector<Likelihood>* records = nullptr) {
  const test::ScratchFolder folder;
  std::ofstream(folder.file("in.jsonl")) << lines;
  shard::Reader reader({folder.file("in.jsonl")});
  Stats stats;
  return perplexity(session, reader, options, stats, [&](const std::string&, const Likelihood& record) {
    if (records != nullptr) records->push_back(record);
  });
}

}  // namespace

TEST_CASE("windows score every token once, in order, with full later windows", "[eval]") {
  std::vector<uint32_t> ids;
  for (uint32_t i = 0; i < 23; ++i) ids.push_back(i);
  for (int64_t context = 1; context <= 25; ++context) {
    for (int64_t stride = 1; stride <= context; ++stride) {
      std::vector<uint32_t> scored;
      const auto list = windows(ids, context, stride);
      for (size_t w = 0; w < list.size(); ++w) {
        const auto& ids_here = list[w].ids;
        CHECK(static_cast<int64_t>(ids_here.size()) <= context + 1);
        if (w > 0) CHECK(static_cast<int64_t>(ids_here.size()) == context + 1);
        scored.insert(scored.end(), ids_here.begin() + static_cast<std::ptrdiff_t>(list[w].first_scored),
                      ids_here.end());
      }
      CHECK(scored == std::vector<uint32_t>(ids.begin() + 1, ids.end()));
    }
  }
  CHECK(windows({4}, 8, 8).empty());
}

TEST_CASE("a strided score is the one of predicting token by token from the same windows", "[eval]") {
  const auto device = runtime::open_reference_device(runtime::DType::f64);
  auto session = tiny_session(*device);
  std::vector<uint32_t> ids;
  std::string list;
  for (uint32_t i = 0; i < 40; ++i) ids.push_back(i * 37 % 500);
  for (const uint32_t id : ids) list += str(list.empty() ? "" : ",", id);
  PerplexityOptions options;
  options.ids = true;
  options.context = 12;
  options.stride = 5;
  const auto total = score_lines(session, "{\"ids\":[" + list + "]}\n", options);
  double expected = 0;
  for (size_t t = 1; t < ids.size(); ++t) {
    // The window that predicts t ends where its block of five ends; it reads twelve tokens before that end.
    const size_t end = t <= 12 ? 12 : std::min<size_t>(39, 12 + (t - 12 + 4) / 5 * 5);
    const size_t begin = end - 12;
    decode::ScoreRequest one{
        {ids.begin() + static_cast<std::ptrdiff_t>(begin), ids.begin() + static_cast<std::ptrdiff_t>(t) + 1},
        t - begin};
    expected -= decode::score(*session.model, {one})[0].at(0);
  }
  CHECK(total.tokens == 39);
  CHECK(total.nll == Approx(expected).epsilon(1e-10));
}

TEST_CASE("the stride changes neither the number of tokens nor short documents", "[eval]") {
  const auto device = runtime::open_device("cpu", 1);
  auto session = tiny_session(*device);
  const std::string lines = "{\"id\":\"s\",\"text\":\"a mill\"}\n{\"id\":\"l\",\"text\":\"" +
                            std::string(120, 'w') + " grain\"}\n{\"id\":\"e\",\"text\":\"\"}\n";
  std::vector<Likelihood> whole;
  const auto total = score_lines(session, lines, {}, &whole);
  for (const int64_t stride : {1, 3, 7, 15}) {
    PerplexityOptions options;
    options.stride = stride;
    std::vector<Likelihood> records;
    const auto strided = score_lines(session, lines, options, &records);
    CHECK(strided.tokens == total.tokens);
    CHECK(records[0].nll == Approx(whole[0].nll).epsilon(1e-6));
  }
  REQUIRE(whole.size() == 2);  // the empty document is dropped and counted
  CHECK(whole[0].bytes == 6);
  CHECK(whole[0].words == 2);
  CHECK(total.bytes == 6 + 126);
}

TEST_CASE("records whose windows fill several blocks, or a part of one, keep their own sums", "[eval]") {
  const auto device = runtime::open_reference_device(runtime::DType::f64);
  auto session = tiny_session(*device);
  std::string lines;
  for (const size_t length : {30, 3, 150, 2, 80}) {
    std::string list;
    for (size_t i = 0; i < length; ++i) list += str(list.empty() ? "" : ",", (i * 37 + length) % 500);
    lines += "{\"ids\":[" + list + "]}\n";
  }
  PerplexityOptions options;
  options.ids = true;
  options.stride = 1;
  std::vector<Likelihood> whole;
  const auto total = score_lines(session, lines, options, &whole);
  options.batch_tokens = 16;  // blocks of 256 tokens: the third record alone has 134 windows of 17
  std::vector<Likelihood> parts;
  const auto again = score_lines(session, lines, options, &parts);
  REQUIRE(parts.size() == 5);
  for (size_t i = 0; i < 5; ++i) {
    CHECK(parts[i].tokens == whole[i].tokens);
    CHECK(parts[i].nll == Approx(whole[i].nll).epsilon(1e-12));
  }
  CHECK(parts[2].tokens == 149);
  CHECK(again.tokens == total.tokens);
}

TEST_CASE("the figures of a report hang together", "[eval]") {
  Likelihood l;
  l.nll = 100;
  l.tokens = 40;
  l.bytes = 160;
  l.words = 30;
  const Json json = l.to_json();
  CHECK(json.at("token_perplexity").as_double() == Approx(std::exp(2.5)));
  CHECK(json.at("bits_per_byte").as_double() == Approx(100 / std::log(2.0) / 160));
  CHECK(json.at("byte_perplexity").as_double() == Approx(std::exp2(json.at("bits_per_byte").as_double())));
  CHECK(json.at("word_perplexity").as_double() == Approx(std::exp(100.0 / 30)));
}

TEST_CASE("words are the pieces between runs of white space", "[eval]") {
  CHECK(count_words("") == 1);
  CHECK(count_words("a b") == 2);
  CHECK(count_words(" a \n\t b ") == 4);
  CHECK(count_words("a\xC2\xA0"
                    "b\xE3\x80\x80"
                    "c") == 3);
}

TEST_CASE("the golden models' likelihoods come out of records of ids", "[eval]") {
  REQUIRE_EXTERNAL_DATA(folder, "models/golden");
  const auto device = runtime::open_device("cpu", 1);
  for (const std::string name : {"gpt2", "llama-gqa-untied"}) {
    auto session = decode::open_session(*device, (folder / name).string(), decode::WithTokenizer::no);
    shard::Reader reader({(folder / name / "nll.jsonl").string()});
    PerplexityOptions options;
    options.ids = true;
    Stats stats;
    const auto total = perplexity(session, reader, options, stats);
    CHECK(total.tokens == 108);
    double expected = 0;
    shard::Reader again({(folder / name / "nll.jsonl").string()});
    std::string_view line;
    while (again.next(line)) expected += Json::parse(line).at("nll").as_double();
    CHECK(total.nll == Approx(expected).epsilon(1e-6));
  }
}

TEST_CASE("perplexity refuses what has no answer", "[eval]") {
  const auto device = runtime::open_device("cpu", 1);
  auto session = tiny_session(*device);
  CHECK_THROWS_WITH(score_lines(session, "", {}), gristmill::test::contains("nothing to score"));
  CHECK_THROWS_WITH(score_lines(session, "{\"id\":\"e\",\"text\":\"\"}\n", {}),
                    gristmill::test::contains("nothing to score"));
  PerplexityOptions options;
  options.stride = 17;
  CHECK_THROWS_WITH(score_lines(session, "", options), gristmill::test::contains("--stride"));
  options.stride = 0;
  options.context = 17;
  CHECK_THROWS_WITH(score_lines(session, "", options), gristmill::test::contains("--context"));
  options.context = 0;
  options.ids = true;
  CHECK_THROWS_AS(score_lines(session, "{\"ids\":[1,\"x\"]}\n", options), Error);
  CHECK_THROWS_AS(score_lines(session, "{\"text\":\"x\"}\n", options), Error);
  CHECK_THROWS_WITH(score_lines(session, "{\"ids\":[1,99999]}\n", options),
                    gristmill::test::contains("vocabulary"));
  device->backend().fill(session.model->parameters().all(), std::numeric_limits<double>::quiet_NaN());
  CHECK_THROWS_WITH(score_lines(session, "{\"ids\":[1,2]}\n", options), gristmill::test::contains("damaged"));
}

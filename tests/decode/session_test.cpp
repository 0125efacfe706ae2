#include "decode/session.hpp"

#include <cmath>
#include <filesystem>
#include <fstream>
#include <optional>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/json.hpp"
#include "decode/chat.hpp"
#include "decode/completion.hpp"
#include "decode/prompt.hpp"
#include "decode/reward.hpp"
#include "model/model_directory.hpp"
#include "support/catch.hpp"
#include "support/scratch.hpp"
#include "support/tiny_model.hpp"

using namespace gristmill;
using namespace gristmill::decode;

namespace {

tokenizer::Tokenizer small() {
  return tokenizer::Tokenizer::load(test::testdata("tokenizer/small.json").string());
}

}  // namespace

TEST_CASE("a session has the model, its tokenizer and what ends a text", "[decode]") {
  const test::ScratchFolder folder;
  const auto device = runtime::open_device("cpu", 1);
  const auto tokenizer = small();
  test::write_tiny_model(*device, folder.path() / "m", test::tiny_config(tokenizer.vocab_size()));
  const auto session = open_session(*device, folder.file("m"));
  CHECK(session.tokens().hash() == tokenizer.hash());
  CHECK(session.stop_ids == std::vector<uint32_t>{tokenizer.end_of_text(), *tokenizer.special("<|im_end|>")});
  const auto bare = open_session(*device, folder.file("m"), WithTokenizer::no);
  CHECK_THROWS_WITH(bare.tokens(), gristmill::test::contains("--tokenizer"));
  CHECK_THROWS_WITH(open_session(*device, folder.file("m"), WithTokenizer::yes, "", model::Head::scalar),
                    gristmill::test::contains("not a reward model"));
}

TEST_CASE("without a tokenizer the configuration says what ends a text, or that nothing does", "[decode]") {
  const test::ScratchFolder folder;
  const auto device = runtime::open_device("cpu", 1);
  test::write_tiny_model(*device, folder.path() / "m", test::tiny_config(40));
  const std::string path = folder.file("m/config.json");
  const Json config = read_json_file(path);
  const auto stop_ids = [&](const char* eos) {
    Json changed = Json::object();
    for (const auto& [key, value] : config.as_object())
      if (key != "eos_token_id") changed[key] = value;
    if (*eos != 0) changed["eos_token_id"] = Json::parse(eos);
    write_file(path, changed.dump());
    return open_session(*device, folder.file("m"), WithTokenizer::no).stop_ids;
  };
  CHECK(stop_ids("3") == std::vector<uint32_t>{3});
  CHECK(stop_ids("[5,39]") == std::vector<uint32_t>{5, 39});
  CHECK(stop_ids("[-1,40,7]") == std::vector<uint32_t>{7});
  for (const char* none : {"", "null", "-1", "[]", "99999999999"}) {
    CAPTURE(none);
    CHECK(stop_ids(none).empty());
  }
  CHECK_THROWS_AS(stop_ids("\"end\""), Error);
  CHECK_THROWS_AS(stop_ids("[1.5]"), Error);
}

TEST_CASE("a tokenizer of another vocabulary and a missing model are clear errors", "[decode]") {
  const test::ScratchFolder folder;
  const auto device = runtime::open_device("cpu", 1);
  test::write_tiny_model(*device, folder.path() / "m", test::tiny_config(small().vocab_size() - 1));
  CHECK_THROWS_WITH(open_session(*device, folder.file("m")), gristmill::test::contains("does not fit"));
  CHECK_THROWS_AS(open_session(*device, folder.file("nothing")), Error);
  std::filesystem::remove(folder.path() / "m" / "tokenizer.json");
  CHECK_THROWS_AS(open_session(*device, folder.file("m")), Error);
  CHECK(open_session(*device, folder.file("m"), WithTokenizer::if_present).tokenizer == nullptr);
  CHECK_THROWS_WITH(open_session(*device, ""), gristmill::test::contains("--model"));
}

TEST_CASE("a tokenizer other than the one that the model was saved with is refused", "[decode]") {
  const test::ScratchFolder folder;
  const auto device = runtime::open_device("cpu", 1);
  test::write_tiny_model(*device, folder.path() / "m", test::tiny_config(small().vocab_size()));
  const std::string config = folder.file("m/config.json"), other = folder.file("other.json");
  write_file(other, small().json() + "\n");
  Json json = read_json_file(config);
  json["gristmill_tokenizer"] = small().hash();
  write_file(config, json.dump());
  CHECK_NOTHROW(open_session(*device, folder.file("m")));
  CHECK_NOTHROW(open_session(*device, folder.file("m"), WithTokenizer::no));
  CHECK_THROWS_WITH(open_session(*device, folder.file("m"), WithTokenizer::yes, other),
                    gristmill::test::contains("other.json: not the tokenizer that"));
  write_file(folder.file("m/tokenizer.json"), small().json() + "\n");
  CHECK_THROWS_WITH(open_session(*device, folder.file("m")),
                    gristmill::test::contains("not the tokenizer that"));
  json.erase("gristmill_tokenizer");  // as in models from elsewhere
  write_file(config, json.dump());
  CHECK_NOTHROW(open_session(*device, folder.file("m")));
}

TEST_CASE("a wrong model is refused by its small files alone", "[decode]") {
  const test::ScratchFolder folder;
  const auto device = runtime::open_device("cpu", 1);
  test::write_tiny_model(*device, folder.path() / "m", test::tiny_config(small().vocab_size()));
  std::filesystem::remove(folder.path() / "m" / "model.safetensors");
  const auto files = open_model_files(folder.file("m"));
  CHECK(files.path == folder.file("m"));
  CHECK(files.config == model::load_config(files.path));
  CHECK(files.tokenizer->hash() == small().hash());
  const auto as = [&](std::optional<model::Head> head) {
    return open_model_files(folder.file("m"), WithTokenizer::no, "", head);
  };
  CHECK_THROWS_WITH(as(model::Head::scalar), gristmill::test::contains("not a reward model"));
  CHECK(as(std::nullopt).tokenizer == nullptr);
  write_file(folder.file("m/tokenizer.json"), "{}");
  CHECK_THROWS_AS(open_model_files(folder.file("m")), Error);
  CHECK_THROWS_AS(open_session(*device, folder.file("m"), WithTokenizer::no), Error);  // needs the weights
}

TEST_CASE("prompts are read in every form and keep their other keys", "[decode]") {
  const auto tokenizer = small();
  const auto text = Prompt::parse(R"({"id":7,"prompt":"the mill","tag":"x"})", "t");
  CHECK(text.extra.dump() == R"({"id":7,"tag":"x"})");
  auto expected = tokenizer.encode("the mill");
  expected.insert(expected.begin(), tokenizer.end_of_text());
  CHECK(prompt_ids(text, &tokenizer, TextTemplate::none) == expected);
  const auto chat = Prompt::parse(
      R"({"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"no"}]})", "t");
  CHECK(chat.shown.dump() == R"([{"role":"user","content":"hi"}])");
  CHECK(prompt_ids(chat, &tokenizer, TextTemplate::none) ==
        prompt_ids(Prompt::of_text("hi"), &tokenizer, TextTemplate::chatml));
  CHECK(prompt_ids(Prompt::parse(R"({"ids":[1,2]})", "t"), nullptr, TextTemplate::none) ==
        std::vector<uint32_t>{1, 2});
  CHECK_THROWS_AS(prompt_ids(text, nullptr, TextTemplate::none), Error);
  for (const auto* bad : {"{}", "[]", R"({"ids":[-1]})", R"({"ids":"1"})", R"({"messages":[]})",
                          R"({"prompt":3})", R"({"messages":[{"role":"assistant","content":"x"}]})"}) {
    CAPTURE(bad);
    CHECK_THROWS_AS(Prompt::parse(bad, "t"), Error);
  }
  CHECK(parse_ids("1, 2,3") == std::vector<uint32_t>{1, 2, 3});
  CHECK_THROWS_AS(parse_ids("1,,2"), Error);
}

TEST_CASE("completions follow their prompts, drop what is too long and do not depend on the batch",
          "[decode]") {
  const test::ScratchFolder folder;
  const auto device = runtime::open_device("cpu", 1);
  test::write_tiny_model(*device, folder.path() / "m", test::tiny_config(small().vocab_size(), 32));
  auto session = open_session(*device, folder.file("m"));
  std::ofstream(folder.file("in.jsonl")) << R"({"id":"a","prompt":"one"})"
                                         << "\n"
                                         << R"({"id":"b","prompt":")" << std::string(300, 'x') << "\"}\n"
                                         << R"({"id":"c","ids":[5,6,7]})"
                                         << "\n";
  CompletionOptions options;
  options.samples = 3;
  options.generate.max_tokens = 8;
  options.generate.stop_ids = session.stop_ids;
  std::string first;
  for (const int64_t batch : {1, 7}) {
    options.generate.batch = batch;
    shard::Reader reader({folder.file("in.jsonl")});
    shard::Writer writer(folder.file("out.jsonl"), {}, shard::writer_options(folder.file("out.jsonl"), 1));
    const auto stats = complete(session, reader, writer, options);
    CHECK(stats.records_in == 3);
    CHECK(stats.records_out == 2);
    CHECK(stats.dropped.at("prompt_too_long") == 1);
    const auto text = read_file(folder.file("out.jsonl"));
    if (first.empty()) first = text;
    CHECK(text == first);
  }
  const auto lines = split(first, '\n');
  REQUIRE(lines.size() == 7);
  const Json record = Json::parse(lines[4]);
  CHECK(record.at("id").as_string() == "c");
  CHECK(record.at("sample").as_int() == 1);
  CHECK(record.at("prompt").dump() == "[5,6,7]");
  CHECK(record.at("text").is_string());
  CHECK(record.at("logprob").as_double() < 0);
}

TEST_CASE("a chat remembers, forgets and stays within the context", "[decode]") {
  const test::ScratchFolder folder;
  const auto device = runtime::open_device("cpu", 1);
  test::write_tiny_model(*device, folder.path() / "m", test::tiny_config(small().vocab_size(), 96));
  auto session = open_session(*device, folder.file("m"));
  GenerateOptions options;
  options.max_tokens = 5;
  Chat chat(session, options, "be brief");
  std::string streamed;
  const auto reply = chat.reply("hello", [&](std::string_view piece) { streamed += piece; });
  CHECK(streamed == reply);
  CHECK(chat.messages().size() == 3);
  for (int turn = 0; turn < 12; ++turn) chat.reply("again and again");
  CHECK(chat.messages().size() < 25);
  CHECK(chat.messages()[0].role == "system");
  CHECK(chat.messages()[1].role == "user");
  const auto before = chat.messages();
  CHECK_THROWS_WITH(chat.reply(std::string(1000, 'q')), gristmill::test::contains("shorter"));
  CHECK(chat.messages() == before);
  chat.reset();
  CHECK(chat.messages().size() == 1);
}

TEST_CASE("rewards are read at the end of the last turn, whatever the batch", "[decode]") {
  const auto device = runtime::open_device("cpu", 1);
  const auto tokenizer = small();
  auto model = test::tiny_model(*device, test::tiny_config(tokenizer.vocab_size(), 64, model::Head::scalar));
  const tokenizer::ChatTemplate chat(tokenizer);
  std::vector<std::vector<shard::Message>> conversations;
  std::vector<std::vector<uint32_t>> ids;
  for (const char* answer : {"yes", "no, never", "", "perhaps"}) {
    conversations.push_back({{"user", "well?"}, {"assistant", answer}});
    // What a sampler holds: the prompt's ids, the reply's, the stop id.
    auto sequence = chat.prompt(std::vector<shard::Message>{{"user", "well?"}});
    tokenizer.encode(answer, sequence);
    sequence.push_back(chat.end_of_turn());
    CHECK(reward_ids(chat, conversations.back()) == sequence);
    ids.push_back(sequence);
  }
  const auto rewards = score_conversations(model, tokenizer, conversations);
  CHECK(rewards == reward_of(model, ids));
  const auto one_by_one = reward_of(model, ids, 1);
  for (size_t i = 0; i < 4; ++i) CHECK(one_by_one[i] == Approx(rewards[i]).epsilon(1e-5));
  CHECK(rewards[0] != rewards[1]);
}

TEST_CASE("conversations that are too long keep their end, and bad reward inputs are refused", "[decode]") {
  const auto device = runtime::open_device("cpu", 1);
  const auto tokenizer = small();
  auto model = test::tiny_model(*device, test::tiny_config(tokenizer.vocab_size(), 16, model::Head::scalar));
  uint64_t truncated = 0;
  const auto rewards = score_conversations(
      model, tokenizer, {{{"user", std::string(200, 'z')}, {"assistant", "ok"}}}, &truncated);
  CHECK(rewards.size() == 1);
  CHECK(truncated == 1);
  CHECK_THROWS_WITH(reward_of(model, {std::vector<uint32_t>(17, 1)}),
                    gristmill::test::contains("context of 16"));
  CHECK_THROWS_WITH(reward_of(model, {{}}), gristmill::test::contains("empty"));
  CHECK_THROWS_WITH(reward_of(model, {{1u << 30}}), gristmill::test::contains("vocabulary"));
  auto language = test::tiny_model(*device, test::tiny_config(40));
  CHECK_THROWS_WITH(reward_of(language, {{1}}), gristmill::test::contains("scalar head"));
  device->backend().fill(model.parameters().all(), std::nan(""));
  CHECK_THROWS_WITH(reward_of(model, {{1, 2}}), gristmill::test::contains("no number"));
}

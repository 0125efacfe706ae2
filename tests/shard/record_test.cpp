#include <string>
#include <vector>

#include "shard/record.hpp"
#include "shard/shard_files.hpp"
#include "support/catch.hpp"
#include "support/data.hpp"

using namespace gristmill;
using namespace gristmill::test;
using shard::Conversation;
using shard::Document;
using shard::Message;
using shard::Preference;
using Messages = std::vector<Message>;

namespace {

std::string conversation_error(const std::string& line) {
  return error_of([&] { Conversation::parse(line, "f, record 3"); });
}

std::string preference_error(const std::string& line) {
  return error_of([&] { Preference::parse(line, "f, record 3"); });
}

}  // namespace

TEST_CASE("a document comes back with its unknown keys in their order", "[shard]") {
  const std::string line = R"({"id":"a","text":"t\n\u00e9","url":"u","source":"s","created":"c","lang":"en",)"
                           R"("metadata":{"k":[1,2]},)"
                           R"("zeta":1,"alpha":{"x":null},"score":0.25})";
  const auto document = Document::parse(line, "f");
  CHECK(document.text == "t\n\xC3\xA9");
  CHECK(document.lang == "en");
  CHECK(document.metadata.at("k").as_array().size() == 2);
  CHECK(document.to_line() ==
        "{\"id\":\"a\",\"text\":\"t\\n\xC3\xA9\",\"url\":\"u\",\"source\":\"s\",\"created\":\"c\",\"lang\":"
        "\"en\","
        "\"metadata\":{\"k\":[1,2]},\"zeta\":1,\"alpha\":{\"x\":null},\"score\":0.25}");
}

TEST_CASE("a document's other spellings are accepted and odd types are carried", "[shard]") {
  CHECK(Document::parse(R"({"id":17,"raw_content":"x"})", "f").id == "17");
  CHECK(Document::parse(R"({"raw_content":"x"})", "f").text == "x");
  CHECK(Document::parse(R"({"content":"x"})", "f").text == "x");
  const auto both = Document::parse(R"({"text":"x","content":"y"})", "f");
  CHECK(both.text == "x");
  CHECK(both.extra.at("content").as_string() == "y");
  CHECK(Document::parse(R"({"id":[1],"text":"x","created":5,"url":null,"metadata":"m"})", "f").to_line() ==
        R"({"text":"x","id":[1],"created":5,"metadata":"m"})");
}

TEST_CASE("a record that is no document is an error that says where", "[shard]") {
  for (const char* line :
       {"{\"id\":1}", "{\"text\":7}", R"({"text":7,"content":"x"})", "[]", "17", "{", "\"x\"", ""}) {
    const std::string error = error_of([&] { Document::parse(line, "f, record 3"); });
    INFO(line);
    CHECK(error.substr(0, 11) == "f, record 3");
  }
}

TEST_CASE("a conversation comes back as it was written", "[shard]") {
  const std::string line =
      R"({"id":"a","messages":[{"role":"system","content":"s"},{"role":"user","content":"q"},)"
      R"({"role":"assistant","content":"r"}],"score":2})";
  const auto conversation = Conversation::parse(line, "f");
  CHECK(conversation.messages == Messages{{"system", "s"}, {"user", "q"}, {"assistant", "r"}});
  CHECK(conversation.to_line() == line);
}

TEST_CASE("ShareGPT, Alpaca, prompt and completion, and HH transcripts become conversations", "[shard]") {
  const Messages expected = {{"user", "q"}, {"assistant", "r"}};
  const auto parse = [](const std::string& line) { return Conversation::parse(line, "f").messages; };
  CHECK(parse(R"({"conversations":[{"from":"human","value":"q"},{"from":"gpt","value":"r"}]})") == expected);
  CHECK(parse(R"({"instruction":"q","input":"","output":"r"})") == expected);
  CHECK(parse(R"({"instruction":"q","output":"r"})") == expected);
  CHECK(parse(R"({"prompt":"q","completion":"r"})") == expected);
  CHECK(parse(R"({"prompt":[{"role":"user","content":"q"}],"completion":[{"role":"assistant",)"
              R"("content":"r"}]})") == expected);
  CHECK(parse(R"({"text":"\n\nHuman: q\n\nAssistant: r"})") == expected);
  CHECK(parse(R"({"prompt":"\n\nHuman: q\n\nAssistant:","completion":"r"})") == expected);
  CHECK(parse(R"({"messages":[{"role":"user","content":[{"type":"text","text":"q"}]},)"
              R"({"role":"assistant","content":"r"}]})") == expected);
  CHECK(parse(R"({"prompt":"q"})") == Messages{{"user", "q"}});
  CHECK(parse(R"({"instruction":"q","input":"more","output":"r","system":"s"})") ==
        Messages{{"system", "s"}, {"user", "q\n\nmore"}, {"assistant", "r"}});
  CHECK(
      parse(R"({"system":"s","conversations":[{"from":"human","value":"q"},{"from":"gpt","value":"r"}]})") ==
      Messages{{"system", "s"}, {"user", "q"}, {"assistant", "r"}});
}

TEST_CASE("a converted conversation keeps the keys it was not made of", "[shard]") {
  CHECK(Conversation::parse(R"({"id":3,"z":1,"instruction":"q","input":"","output":"r","a":2})", "f")
            .to_line() ==
        R"({"id":"3","messages":[{"role":"user","content":"q"},{"role":"assistant","content":"r"}],)"
        R"("z":1,"a":2})");
  CHECK(Conversation::parse(R"({"prompt":"q","completion":"r","label":true})", "f")
            .extra.at("label")
            .as_bool());
}

TEST_CASE("what is no conversation is an error that says where", "[shard]") {
  for (const char* line :
       {"{}", R"({"messages":[]})", R"({"messages":"x"})", R"({"messages":[{"role":"user"}]})",
        R"({"messages":[{"role":"user","content":null}]})", R"({"messages":[{"role":5,"content":"x"}]})",
        R"({"messages":["x"]})", R"({"instruction":5,"output":"x"})", R"({"prompt":5})",
        R"({"text":"plain"})", R"({"messages":[{"role":"user","content":[{"type":"image"}]}]})"}) {
    INFO(line);
    CHECK(conversation_error(line).substr(0, 11) == "f, record 3");
  }
  CHECK(contains(conversation_error(R"({"messages":[{"role":"narrator","content":"x"}]})"), "narrator"));
}

TEST_CASE("a preference comes back as it was written", "[shard]") {
  const std::string line =
      R"({"id":"a","prompt":[{"role":"user","content":"q"}],"chosen":[{"role":"assistant","content":"c"}],)"
      R"("rejected":[{"role":"assistant","content":"r"}],"annotator":"me","margin":0.5,"time":3})";
  const auto preference = Preference::parse(line, "f");
  CHECK(preference.margin == 0.5);
  CHECK(preference.annotator == "me");
  CHECK(preference.to_line() == line);
}

TEST_CASE("every spelling of a preference gives the same prompt and answers", "[shard]") {
  for (
      const char* line : {
          R"({"prompt":"q","chosen":"c","rejected":"r"})",
          R"({"prompt":[{"role":"user","content":"q"}],"chosen":"c","rejected":"r"})",
          R"({"prompt":"q","chosen":[{"role":"user","content":"q"},{"role":"assistant",)"
          R"("content":"c"}],"rejected":[{"role":"user","content":"q"},{"role":"assistant","content":"r"}]})",
          R"({"chosen":[{"role":"user","content":"q"},{"role":"assistant","content":"c"}],)"
          R"("rejected":[{"role":"user","content":"q"},{"role":"assistant","content":"r"}]})",
          R"({"chosen":"\n\nHuman: q\n\nAssistant: c","rejected":"\n\nHuman: q\n\nAssistant: r"})",
          R"({"prompt":"\n\nHuman: q\n\nAssistant:","chosen":" c","rejected":" r"})",
          R"({"prompt":"\n\nHuman: q\n\nAssistant:","chosen":"\n\nHuman: q\n\nAssistant: c",)"
          R"("rejected":"\n\nHuman: q\n\nAssistant: r"})",
      }) {
    INFO(line);
    const auto preference = Preference::parse(line, "f");
    CHECK(preference.prompt == Messages{{"user", "q"}});
    CHECK(preference.chosen == Messages{{"assistant", "c"}});
    CHECK(preference.rejected == Messages{{"assistant", "r"}});
    CHECK(preference.extra == Json::object());
  }
}

TEST_CASE("the implicit prompt of an HH pair is its longest common beginning in messages", "[shard]") {
  const auto preference = Preference::parse(
      R"({"chosen":"\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant: same start, good",)"
      R"("rejected":"\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant: same start, bad"})",
      "f");
  CHECK(preference.prompt == Messages{{"user", "a"}, {"assistant", "b"}, {"user", "c"}});
  CHECK(preference.chosen == Messages{{"assistant", "same start, good"}});
}

TEST_CASE("a preference that compares nothing, or answers to different prompts, is an error", "[shard]") {
  CHECK(contains(preference_error(R"({"prompt":"q","chosen":"c"})"), "\"rejected\""));
  CHECK(contains(preference_error(R"({"chosen":"c","rejected":"r"})"), "share no prompt"));
  CHECK(
      contains(preference_error(
                   R"({"chosen":"\n\nHuman: q\n\nAssistant: c","rejected":"\n\nHuman: q\n\nAssistant: c"})"),
               "nothing tells"));
  CHECK(contains(
      preference_error(
          R"({"chosen":"\n\nHuman: q\n\nAssistant: c","rejected":"\n\nHuman: other\n\nAssistant: r"})"),
      "prompt"));
  CHECK(
      contains(preference_error(R"({"chosen":"\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant: d",)"
                                R"("rejected":"\n\nHuman: a\n\nAssistant: b\n\nHuman: x\n\nAssistant: d"})"),
               "different prompts"));
}

TEST_CASE("messages turn to JSON and back", "[shard]") {
  const Messages messages = {{"user", "a\"b"}, {"assistant", ""}};
  CHECK(shard::messages_from_json(shard::to_json(messages), "f") == messages);
}

TEST_CASE("real conversations of OpenAssistant are read message by message", "[shard]") {
  REQUIRE_EXTERNAL_DATA(path, "posttrain/oasst/en_100_message.jsonl");
  shard::Reader reader({path.string()});
  std::string_view line;
  size_t documents = 0;
  while (reader.next(line)) {
    const auto document = Document::parse(line, reader.where());
    CHECK(Document::parse(document.to_line(), "again").to_line() == document.to_line());
    ++documents;
  }
  CHECK(documents > 50);
}

#include "curate/filter.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "support/catch.hpp"
#include "support/data.hpp"

using namespace gristmill;
using namespace gristmill::curate;

namespace {

struct Run {
  Stats stats;
  std::string output, rejects;
};

Run run(const std::string& input, const FilterOptions& options, int threads = 2) {
  const auto folder =
      std::filesystem::temp_directory_path() / ("gristmill-filter-" + std::to_string(::getpid()));
  std::filesystem::create_directory(folder);
  write_file(folder / "in.jsonl", input);
  Run result;
  {
    shard::Header header;
    shard::Reader reader({(folder / "in.jsonl").string()});
    shard::Writer writer(folder / "out.jsonl", header, shard::writer_options("out.jsonl", threads));
    const auto rejects = open_rejects(folder / "rejects.jsonl", header, threads);
    result.stats = filter(reader, writer, rejects.get(), options, threads);
  }
  result.output = read_file(folder / "out.jsonl");
  result.rejects = read_file(folder / "rejects.jsonl");
  std::filesystem::remove_all(folder);
  return result;
}

std::string record(const std::string& id, const std::string& text, const std::string& url = "") {
  shard::Document document;
  document.id = id;
  document.text = text;
  document.url = url;
  return document.to_line() + "\n";
}

/// A page that passes fineweb; `salt` makes it different from others.
std::string good_page(const std::string& salt) {
  return "The miller of " + salt +
         " opens the gate at dawn, and water fills the race below the house.\n"
         "Then the great wheel begins to move, slowly at first, with a groan that can be heard in the "
         "village.\n"
         "Two pairs of stones grind rye on weekdays, while wheat is ground on Saturdays for the bakers of "
         "the town.\n"
         "Sacks that came in full of grain leave full of flour, and the carter counts them twice to be "
         "sure.\n"
         "In the evening his daughter closes the gate, sweeps the floor, and writes the day's weights into a "
         "book.\n";
}

}  // namespace

TEST_CASE("a good page passes every recipe byte for byte", "[curate]") {
  const std::string line =
      R"({"text":)" + Json(good_page("A")).dump() + R"(,"id":"a","odd":{"x":[1, 2.50]}})" + "\n";
  for (const char* name : {"fineweb", "gopher", "none"}) {
    const auto result = run(line, recipe(name));
    CHECK(result.stats.records_out == 1);
    INFO(name << " " << result.rejects);
    if (std::string(name) != "fineweb") CHECK(result.output == line);
  }
}

TEST_CASE("everything that goes in comes out or is counted under a reason", "[curate]") {
  std::string input = record("good", good_page("A")) + record("short", "The end.") + "{broken\n" +
                      record("url", good_page("B"), "http://example.org/porn/") + R"({"id":"no text"})" +
                      "\n" + record("nul", std::string("a\0b", 3)) + "[1]\n" + "{\"text\":\"\xFF\"}\n" +
                      record("empty", "");
  const auto result = run(input, recipe("fineweb"));
  CHECK(result.stats.records_in == 9);
  CHECK(result.stats.records_out == 1);
  CHECK(result.stats.records_in == result.stats.records_out + result.stats.records_dropped());
  CHECK(result.stats.dropped.at(kBadRecord) == 4);
  CHECK(result.stats.dropped.at("hard_blacklisted") == 1);
  CHECK(std::count(result.rejects.begin(), result.rejects.end(), '\n') == 8);
  CHECK(result.rejects.find("{broken") != std::string::npos);
  CHECK(result.rejects.find(R"("verdict":"hard_blacklisted")") != std::string::npos);
}

TEST_CASE("a rejected document keeps its text as it came", "[curate]") {
  FilterOptions options = recipe("none");
  options.steps = {Step::c4, Step::fineweb};
  options.c4.min_num_sentences = 1;
  const std::string text = "cut me\nThis short one stays.\nSo does this one.";
  const auto result = run(record("a", text), options);
  CHECK(result.stats.dropped.at("short_line_ratio") == 1);
  CHECK(shard::Document::parse(result.rejects, "record").text == text);
}

TEST_CASE("lines that were cut and masks are counted", "[curate]") {
  const std::string page =
      good_page("A") +
      "Our privacy policy is here for you.\nWrite to miller@example.org about the prices of flour.\n";
  const auto result = run(record("a", page), recipe("fineweb"));
  CHECK(result.stats.records_out == 1);
  const auto text = shard::Document::parse(result.output, "record").text;
  CHECK(text.find("privacy") == std::string::npos);
  CHECK(text.find("|||EMAIL_ADDRESS|||") != std::string::npos);
  CHECK(result.stats.extra.at("lines_removed").at("policy").as_uint() == 1);
  CHECK(result.stats.extra.at("masked").at("email").as_uint() == 1);
}

TEST_CASE("tag-only drops and changes nothing and measures everything", "[curate]") {
  auto options = recipe("fineweb");
  options.tag_only = true;
  const std::string text = "Too short, write to a@example.org.";
  const auto result = run(record("a", text), options);
  CHECK(result.stats.records_out == 1);
  const auto document = shard::Document::parse(result.output, "record");
  CHECK(document.text == text);
  const auto& verdict = document.metadata.at("filter");
  CHECK(verdict.at("verdict").as_string() != "keep");
  CHECK(verdict.at("measures").at("gopher_short_doc").as_int() == 6);
  CHECK(verdict.at("measures").find("list_ratio") != nullptr);
}

TEST_CASE("pages with personal data are dropped when asked", "[curate]") {
  auto options = recipe("none");
  options.steps = {Step::pii};
  options.pii.action = PiiAction::drop;
  const auto result = run(record("a", "Write to a@example.org.") + record("b", "No address."), options);
  CHECK(result.stats.dropped.at("pii") == 1);
  CHECK(result.stats.records_out == 1);
}

TEST_CASE("filtered bytes do not depend on the number of threads", "[curate]") {
  std::string input;
  for (int i = 0; i < 3000; ++i) {
    input += i % 7 == 0 ? record(std::to_string(i), "Too short.")
                        : record(std::to_string(i), good_page(std::to_string(i)));
    if (i % 100 == 0) input += "not json\n";
  }
  const auto one = run(input, recipe("fineweb"), 1), four = run(input, recipe("fineweb"), 4);
  CHECK(one.output == four.output);
  CHECK(one.rejects == four.rejects);
  CHECK(one.stats.dropped == four.stats.dropped);
  CHECK(one.stats.records_in == one.stats.records_out + one.stats.records_dropped());
}

TEST_CASE("filtering twice changes nothing the second time", "[curate]") {
  const std::string page = good_page("A") + "Write to miller@example.org about the prices of flour.\n";
  const auto once = run(record("a", page), recipe("fineweb"));
  const auto twice = run(once.output, recipe("fineweb"));
  CHECK(twice.output == once.output);
}

TEST_CASE("a document of many megabytes on one line takes linear time", "[curate]") {
  // Built for the slow corners: one word, one line, one repeated phrase.
  std::vector<std::string> texts = {std::string(1'000'000, 'x'), std::string(1'000'000, '\n'),
                                    std::string(1'000'000, '.')};
  std::string phrase;
  while (phrase.size() < 1'000'000) phrase += "the mill and the stone ";
  texts.push_back(phrase);
  for (const auto& text : texts) {
    const auto start = std::chrono::steady_clock::now();
    auto options = recipe("fineweb");
    options.tag_only = true;
    CHECK(run(record("big", text), options).stats.records_out == 1);
    CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(2));
  }
}

TEST_CASE("an empty input gives an empty output", "[curate]") {
  const auto result = run("", recipe("fineweb"));
  CHECK(result.stats.records_in == 0);
  CHECK(result.output.empty());
}

TEST_CASE("a rules file names steps and constants, and unknown keys are refused", "[curate]") {
  const auto path =
      std::filesystem::temp_directory_path() / ("gristmill-rules-" + std::to_string(::getpid()) + ".toml");
  write_file(path, "steps = [\"gopher_quality\", \"c4\"]\n[gopher_quality]\nmin_doc_words = 3\n");
  const auto options = read_rules(path);
  CHECK(options.steps == std::vector<Step>{Step::gopher_quality, Step::c4});
  CHECK(options.gopher_quality.min_doc_words == 3);
  write_file(path, "recipe = \"fineweb\"\n[c4]\nmin_words = 3\n");
  CHECK_THROWS_WITH(read_rules(path), test::contains("c4.min_words"));
  std::filesystem::remove(path);
}

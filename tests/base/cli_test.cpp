#include "base/cli.hpp"

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/json.hpp"
#include "base/log.hpp"
#include "support/catch.hpp"
#include "support/scratch.hpp"
#include "support/streams.hpp"

using namespace gristmill;

namespace {

enum class Method { exact, minhash };

struct Options {
  double threshold = 0.8;
  int permutations = 128;
  int64_t offset = -3;
  uint64_t tokens = 1000;
  uint64_t memory = uint64_t{2} << 30;
  bool tag_only = false;
  std::string label = "none";
  std::vector<std::string> languages;
  Method method = Method::exact;
};

struct Outcome {
  int code = -1;
  std::string out, err;
  bool ran = false;
  Options options;
  cli::Common common;
};

/// A tool with an option of every kind.
Outcome run_tool(const std::vector<std::string>& arguments, const std::function<void()>& body = {}) {
  Outcome outcome;
  auto& o = outcome.options;
  cli::Tool tool("grind", "Grinds.");
  tool.inputs().inputs_unless({"--label"}).binary_output().threads().seed().device().stats().shard();
  tool.group("Grinding");
  tool.option("--threshold", o.threshold, "similarity");
  tool.option("-k,--permutations", o.permutations, "number of hashes");
  tool.option("--offset", o.offset, "where to start");
  tool.option("--tokens", o.tokens, "how many");
  tool.size_option("--memory", o.memory, "memory");
  tool.option("--tag-only", o.tag_only, "keep everything");
  tool.option("--label", o.label, "a text");
  tool.option("--lang", o.languages, "languages");
  tool.choice("--method", o.method, {{"exact", Method::exact}, {"minhash", Method::minhash}}, "how");
  tool.example("grind a.jsonl -o b.jsonl");
  std::vector<std::string> words = {"grind"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (auto& word : words) argv.push_back(word.data());
  const auto level = log::level();
  test::CapturedStream out(1), err(2);
  outcome.code = tool.run(static_cast<int>(argv.size()), argv.data(), [&] {
    outcome.ran = true;
    if (body) body();
  });
  outcome.err = err.text();
  outcome.out = out.text();
  outcome.common = tool.common();
  log::set_level(level);
  return outcome;
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("options of every kind are set from the command line", "[base]") {
  const auto got = run_tool({"--threshold",
                             "0.5",
                             "-k",
                             "7",
                             "--offset=-9",
                             "--tokens",
                             "18446744073709551615",
                             "--memory",
                             "64MiB",
                             "--tag-only",
                             "--label",
                             "x y",
                             "--lang",
                             "en,de",
                             "--lang",
                             "fr",
                             "--method",
                             "minhash",
                             "--seed",
                             "4",
                             "-j",
                             "3",
                             "-o",
                             "out",
                             "a",
                             "b"});
  CHECK(got.code == 0);
  CHECK(got.ran);
  CHECK(got.options.threshold == 0.5);
  CHECK(got.options.permutations == 7);
  CHECK(got.options.offset == -9);
  CHECK(got.options.tokens == UINT64_MAX);
  CHECK(got.options.memory == 64 << 20);
  CHECK(got.options.tag_only);
  CHECK(got.options.label == "x y");
  CHECK(got.options.languages == std::vector<std::string>{"en", "de", "fr"});
  CHECK(got.options.method == Method::minhash);
  CHECK(got.common.seed == 4);
  CHECK(got.common.threads == 3);
  CHECK(got.common.output == "out");
  CHECK(got.common.inputs == std::vector<std::string>{"a", "b"});
}

TEST_CASE("an option that takes a list does not swallow the files behind it", "[base]") {
  const auto got = run_tool({"--lang", "en", "a", "b"});
  CHECK(got.options.languages == std::vector<std::string>{"en"});
  CHECK(got.common.inputs == std::vector<std::string>{"a", "b"});
}

TEST_CASE("without options the defaults stand", "[base]") {
  const auto got = run_tool({"-o", "x"});
  CHECK(got.code == 0);
  CHECK(got.options.threshold == 0.8);
  CHECK(got.options.languages.empty());
  CHECK(got.common.inputs == std::vector<std::string>{"-"});
  CHECK(got.common.threads >= 1);
  CHECK(got.common.seed == 1);
}

TEST_CASE("help goes to standard output with defaults, choices, an example and the exit codes", "[base]") {
  const auto got = run_tool({"--help"});
  CHECK(got.code == 0);
  CHECK_FALSE(got.ran);
  CHECK(got.err.empty());
  for (const std::string part :
       {"Grinds.", "--threshold", "0.8", "128", "-3", "2147483648", "exact, minhash", "none", "Grinding",
        "grind a.jsonl -o b.jsonl", "75 stopped after a checkpoint", "--config", "--shard"}) {
    CAPTURE(part);
    CHECK(has(got.out, part));
  }
}

TEST_CASE("the version's first line is fit for help2man", "[base]") {
  const auto got = run_tool({"--version"});
  CHECK(got.code == 0);
  CHECK(got.out.starts_with("grind (gristmill) 0."));
}

TEST_CASE("a wrong command line is exit code 2 and one line that says where to look", "[base]") {
  const std::vector<std::vector<std::string>> wrong = {{"--no-such"},
                                                       {"-z"},
                                                       {"--threshold"},
                                                       {"--threshold", "abc"},
                                                       {"--threshold", "nan"},
                                                       {"--threshold", "0.5x"},
                                                       {"-k", "3000000000"},
                                                       {"-k", "1.5"},
                                                       {"--tokens", "-1"},
                                                       {"--tokens", "18446744073709551616"},
                                                       {"--offset", "0x10"},
                                                       {"--memory", "2X"},
                                                       {"--method", "minihash"},
                                                       {"--method", ""},
                                                       {"-j", "0"},
                                                       {"-j", "-2"},
                                                       {"--seed", "x"},
                                                       {"--progress", "maybe"},
                                                       {"--seed", "1", "--seed", "2"}};
  for (auto arguments : wrong) {
    CAPTURE(arguments);
    arguments.insert(arguments.end(), {"-o", "x", "a"});
    const auto got = run_tool(arguments);
    CHECK(got.code == 2);
    CHECK_FALSE(got.ran);
    CHECK(got.out.empty());
    CHECK(got.err.starts_with("grind: "));
    CHECK(has(got.err, "grind --help"));
    CHECK(std::count(got.err.begin(), got.err.end(), '\n') == 1);
  }
}

TEST_CASE("numbers are decimal whatever their leading zeros", "[base]") {
  CHECK(run_tool({"-k", "010", "a", "-o", "x"}).options.permutations == 10);
}

TEST_CASE("a configuration file sets options, and the command line wins", "[base]") {
  const test::ScratchFolder folder;
  const auto path = folder.file("c.toml");
  write_file(path,
             "# comment\nthreshold = 0.25\npermutations = 9\nlabel = \"a # quoted, text\"\ntag-only = true\n"
             "lang = [\"en\", \"de\"]\nmethod = \"minhash\"\nseed = 12\nmemory = \"1G\"\n");
  const auto got = run_tool({"--config", path, "--permutations", "5", "-o", "x", "a"});
  CAPTURE(got.err);
  CHECK(got.code == 0);
  CHECK(got.options.threshold == 0.25);
  CHECK(got.options.permutations == 5);
  CHECK(got.options.label == "a # quoted, text");
  CHECK(got.options.tag_only);
  CHECK(got.options.languages == std::vector<std::string>{"en", "de"});
  CHECK(got.options.method == Method::minhash);
  CHECK(got.options.memory == 1 << 30);
  CHECK(got.common.seed == 12);
}

TEST_CASE("a configuration file with a misspelt key, a wrong value or another format is exit code 2",
          "[base]") {
  const test::ScratchFolder folder;
  const auto path = folder.file("c.toml");
  for (const std::string text :
       {"treshold = 0.5\n", "threshold = \"much\"\n", "method = \"minihash\"\n",
        "[grinding]\nthreshold = 0.5\n", "{\"threshold\": 0.5}\n", "tag-only = \"perhaps\"\n"}) {
    CAPTURE(text);
    write_file(path, text);
    const auto got = run_tool({"--config", path, "-o", "x", "a"});
    CHECK(got.code == 2);
    CHECK_FALSE(got.ran);
  }
  CHECK(run_tool({"--config", folder.file("absent"), "-o", "x", "a"}).code == 2);
  write_file(path, "treshold = 0.5\n");
  CHECK_THAT(run_tool({"--config", path, "-o", "x", "a"}).err, test::contains("unknown key \"treshold\""));
}

TEST_CASE("the kind of an error decides the exit code, and its message is one line", "[base]") {
  const std::vector<std::pair<Kind, int>> codes = {
      {Kind::usage, 2}, {Kind::input, 1}, {Kind::io, 1}, {Kind::device, 1}, {Kind::internal, 1}};
  for (const auto& [kind, code] : codes) {
    const auto got = run_tool({"-o", "x", "a"}, [k = kind] { fail(k, "what ", 1, " where"); });
    CHECK(got.code == code);
    CHECK(got.err == "grind: what 1 where\n");
  }
  CHECK(run_tool({"-o", "x", "a"}, [] { throw Stopped("saved step 5"); }).code == 75);
  CHECK(run_tool({"-o", "x", "a"}, [] { throw std::bad_alloc(); }).code == 1);
  CHECK(has(run_tool({"-o", "x", "a"}, [] { throw std::logic_error("odd"); }).err, "internal error: odd"));
}

TEST_CASE("binary data is not written to a terminal unless forced", "[base]") {
  const test::ScopedVariable fake("GRISTMILL_FAKE_TTY", "stdout");
  const auto refused = run_tool({"a"});
  CHECK(refused.code == 2);
  CHECK_FALSE(refused.ran);
  CHECK(has(refused.err, "terminal"));
  CHECK(run_tool({"a", "--force"}).ran);
  CHECK(run_tool({"a", "-o", "x"}).ran);
}

TEST_CASE("a terminal as input is refused, since nobody meant it", "[base]") {
  const test::ScopedVariable fake("GRISTMILL_FAKE_TTY", "stdin");
  CHECK(run_tool({"-o", "x"}).code == 2);
  CHECK(run_tool({"-o", "x", "a"}).code == 0);
  CHECK(run_tool({"-o", "x", "--label", "in place of input"}).code == 0);
}

TEST_CASE("the statistics file accounts for every record", "[base]") {
  const test::ScratchFolder folder;
  cli::Tool tool("grind", "Grinds.");
  tool.stats();
  const auto path = folder.file("stats.json");
  std::vector<std::string> words = {"grind", "--stats", path};
  std::vector<char*> argv;
  for (auto& word : words) argv.push_back(word.data());
  test::CapturedStream err(2);
  const int code = tool.run(3, argv.data(), [&] {
    Stats stats;
    stats.records_in = 10;
    stats.records_out = 7;
    stats.drop("short", 2);
    stats.drop("odd");
    stats.bytes_in = 1234567;
    tool.report(stats);
  });
  CHECK(has(err.text(), "10 records in, 7 out, 3 dropped (odd 1, short 2); 1.2 MB in"));
  CHECK(code == 0);
  const auto json = read_json_file(path);
  CHECK(json.at("records_in").as_int() == 10);
  CHECK(json.at("records_out").as_int() == 7);
  CHECK(json.at("dropped").dump() == R"({"odd":1,"short":2})");
  CHECK(json.at("bytes_in").as_int() == 1234567);
  CHECK(json.at("bytes_out").as_int() == 0);
  CHECK(json.at("seconds").as_double() >= 0);
  CHECK(json.at("peak_bytes").as_int() > 1000000);
}

TEST_CASE("a part of a job array sees its files only, and an empty part no standard input", "[base]") {
  CHECK(run_tool({"--shard", "1/2", "-o", "x", "a", "b", "c", "d"}).common.inputs ==
        std::vector<std::string>{"c", "d"});
  const auto empty = run_tool({"--shard", "0/3", "-o", "x", "a", "b"});
  CHECK(empty.code == 0);
  CHECK(empty.common.inputs.empty());
  CHECK(run_tool({"--shard", "2/2", "-o", "x", "a"}).code == 2);
  CHECK(run_tool({"--shard", "0/2", "-o", "x"}).code == 2);
}

TEST_CASE("a subcommand has options of its own and shares the common ones", "[base]") {
  int battles = 1;
  std::string ran;
  const auto run = [&](std::vector<std::string> words) {
    ran.clear();
    cli::Tool tool("arena", "Judges.");
    auto& rate = tool.subcommand("rate", "Rates.", [&] { ran = "rate"; });
    rate.inputs().seed();
    rate.option("--battles", battles, "how many");
    auto& judge = tool.subcommand("judge", "Judges.", [&] { ran = str("judge ", tool.common().seed); });
    judge.seed();
    std::vector<char*> argv;
    for (auto& word : words) argv.push_back(word.data());
    test::CapturedStream out(1), err(2);
    return tool.run(static_cast<int>(argv.size()), argv.data());
  };
  CHECK(run({"arena", "rate", "--battles", "5", "a"}) == 0);
  CHECK(ran == "rate");
  CHECK(battles == 5);
  CHECK(run({"arena", "judge", "--seed", "9"}) == 0);
  CHECK(ran == "judge 9");
  CHECK(run({"arena"}) == 2);
  CHECK(run({"arena", "judge", "--battles", "5"}) == 2);
  CHECK(run({"arena", "dance"}) == 2);
}

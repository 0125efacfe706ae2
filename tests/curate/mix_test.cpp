#include "curate/mix.hpp"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/file.hpp"
#include "shard/reader.hpp"
#include "shard/record.hpp"
#include "support/catch.hpp"
#include "support/data.hpp"

using namespace gristmill;
using namespace gristmill::curate;

namespace {

struct Run {
  Stats stats;
  std::vector<shard::Document> documents;
  std::string bytes;
};

/// Files by name in a scratch folder, mixed.
Run run(const std::map<std::string, std::string>& files, const MixOptions& options, uint64_t seed = 1) {
  const auto folder =
      std::filesystem::temp_directory_path() / ("gristmill-mix-" + std::to_string(::getpid()));
  std::filesystem::create_directory(folder);
  std::vector<std::string> inputs;
  for (const auto& [name, content] : files) {
    write_file(folder / name, content);
    inputs.push_back(folder / name);
  }
  Run result;
  {
    shard::Header header;
    shard::Writer writer(folder / "out.jsonl", header, shard::writer_options("out.jsonl", 1));
    const auto rejects = open_rejects(folder / "rejects.jsonl", header, 1);
    result.stats = mix(inputs, writer, rejects.get(), options, seed);
  }
  result.bytes = read_file(folder / "out.jsonl");
  LineReader lines(folder / "out.jsonl");
  for (std::string_view line; lines.next(line);)
    result.documents.push_back(shard::Document::parse(line, "record"));
  std::filesystem::remove_all(folder);
  return result;
}

std::string documents(const std::string& name, int count, size_t bytes, const std::string& source = "") {
  std::string out;
  for (int i = 0; i < count; ++i) {
    shard::Document document;
    document.id = name + std::to_string(i);
    document.text = std::string(bytes, name[0]);
    document.source = source;
    out += document.to_line() + "\n";
  }
  return out;
}

MixOptions with(std::vector<std::pair<std::string, double>> weights) {
  MixOptions options;
  options.weights = std::move(weights);
  return options;
}

const Json& domain(const Run& run, size_t i) { return run.stats.extra.at("domains").as_array().at(i); }

std::filesystem::path scratch_file(const std::string& content) {
  auto path = std::filesystem::temp_directory_path() / ("gristmill-weights-" + std::to_string(::getpid()));
  write_file(path, content);
  return path;
}

}  // namespace

TEST_CASE("shares of bytes meet the weights within half a document", "[curate]") {
  auto options = with({{"a", 3}, {"b", 1}, {"c", 1}});
  options.bytes = 100'000;
  const auto result = run({{"a.jsonl", documents("a", 1000, 90)},
                           {"b.jsonl", documents("b", 1000, 400)},
                           {"c.jsonl", documents("c", 1000, 33)}},
                          options);
  CHECK(std::abs(domain(result, 0).at("bytes_out").as_double() - 60'000) <= 45);
  CHECK(std::abs(domain(result, 1).at("bytes_out").as_double() - 20'000) <= 200);
  CHECK(std::abs(domain(result, 2).at("bytes_out").as_double() - 20'000) <= 17);
  CHECK_FALSE(domain(result, 0).at("exhausted").as_bool());
  CHECK(result.stats.records_in == result.stats.records_out + result.stats.records_dropped());
}

TEST_CASE("every stretch of the stream has nearly the wanted shares", "[curate]") {
  const auto result = run({{"a.jsonl", documents("a", 600, 100)}, {"b.jsonl", documents("b", 300, 100)}},
                          with({{"a", 2}, {"b", 1}}));
  REQUIRE(result.documents.size() == 900);
  for (size_t start = 0; start + 30 <= 900; start += 30) {
    const auto from_a = std::count_if(result.documents.begin() + static_cast<std::ptrdiff_t>(start),
                                      result.documents.begin() + static_cast<std::ptrdiff_t>(start + 30),
                                      [](const auto& document) { return document.id[0] == 'a'; });
    CHECK(std::abs(static_cast<double>(from_a) - 20) <= 1);
  }
}

TEST_CASE("without a budget the mix is as large as the weights allow", "[curate]") {
  const auto result = run({{"a.jsonl", documents("a", 100, 100)}, {"b.jsonl", documents("b", 1000, 100)}},
                          with({{"a", 1}, {"b", 1}}));
  CHECK(result.stats.records_out == 200);
  CHECK(result.stats.dropped.at("over_budget") == 900);
}

TEST_CASE("a domain is repeated up to the epochs and what it lacks is reported", "[curate]") {
  auto options = with({{"a", 1}, {"b", 1}});
  options.bytes = 20'000;
  options.epochs = 2;
  const auto result =
      run({{"a.jsonl", documents("a", 10, 100)}, {"b.jsonl", documents("b", 500, 100)}}, options);
  CHECK(domain(result, 0).at("documents_out").as_int() == 20);
  CHECK(domain(result, 0).at("exhausted").as_bool());
  CHECK(domain(result, 1).at("documents_out").as_int() == 100);
  CHECK_FALSE(domain(result, 1).at("exhausted").as_bool());
  CHECK(result.stats.extra.at("repeated").as_int() == 10);
  CHECK(result.stats.records_in == result.stats.records_out - 10 + result.stats.records_dropped());
  // Each epoch holds every document once, in an order of its own.
  std::vector<std::string> order;
  for (const auto& document : result.documents) {
    if (document.id[0] == 'a') order.push_back(document.id);
  }
  const std::vector<std::string> first(order.begin(), order.begin() + 10),
      second(order.begin() + 10, order.end());
  CHECK(std::set<std::string>(first.begin(), first.end()).size() == 10);
  CHECK(std::set<std::string>(second.begin(), second.end()).size() == 10);
  CHECK(first != second);
}

TEST_CASE("the seed decides the order and nothing else does", "[curate]") {
  const std::map<std::string, std::string> files = {{"a.jsonl", documents("a", 200, 100)},
                                                    {"b.jsonl", documents("b", 200, 100)}};
  const auto options = with({{"a", 1}, {"b", 2}});
  CHECK(run(files, options, 7).bytes == run(files, options, 7).bytes);
  CHECK(run(files, options, 7).bytes != run(files, options, 8).bytes);
}

TEST_CASE("domains come from the source, or from the file's name", "[curate]") {
  const std::map<std::string, std::string> files = {
      {"both.jsonl", documents("a", 10, 100, "web") + documents("b", 10, 100, "code")},
      {"plain.x.jsonl", documents("c", 10, 100)}};
  const auto result = run(files, with({{"web", 1}, {"code", 1}, {"plain", 1}}));
  CHECK(result.stats.records_out == 30);
  auto by_file = with({{"both", 1}, {"plain", 1}});
  by_file.by = DomainBy::file;
  CHECK(run(files, by_file).stats.records_out == 20);
  CHECK_THROWS_WITH(run(files, with({{"web", 1}, {"plain", 1}})), test::contains("\"code\""));
  CHECK(run(files, with({{"web", 1}, {"code", 0}, {"plain", 1}})).stats.dropped.at("zero_weight") == 10);
}

TEST_CASE("a domain with a weight and no documents is refused, or reported where there is a budget",
          "[curate]") {
  CHECK_THROWS_WITH(run({{"a.jsonl", documents("a", 10, 100)}}, with({{"a", 1}, {"b", 1}})),
                    test::contains("\"b\""));
  auto options = with({{"a", 1}, {"b", 1}});
  options.bytes = 1000;
  const auto half = run({{"a.jsonl", documents("a", 10, 100)}}, options);
  CHECK(half.stats.records_out == 5);
  CHECK(domain(half, 1).at("exhausted").as_bool());
}

TEST_CASE("records that are no documents are counted", "[curate]") {
  const auto result = run({{"a.jsonl", documents("a", 10, 100) + "{oops\n"}}, with({{"a", 1}}));
  CHECK(result.stats.dropped.at(kBadRecord) == 1);
  CHECK(result.stats.records_out == 10);
}

TEST_CASE("weights are read as JSON or as lines", "[curate]") {
  const std::vector<std::pair<std::string, double>> expected = {{"web", 0.5}, {"my code", 2}};
  const auto path = scratch_file("{\"web\": 0.5, \"my code\": 2}");
  CHECK(read_weights(path) == expected);
  write_file(path, "# shares\nweb\t0.5\n\nmy code\t2\n");
  CHECK(read_weights(path) == expected);
  for (const char* bad : {"web\t-1", "web\tnan", "web", "web 1\nweb 2", "web\t0", "{\"web\": \"1\"}", ""}) {
    write_file(path, bad);
    CHECK_THROWS_AS(read_weights(path), Error);
  }
  std::filesystem::remove(path);
}

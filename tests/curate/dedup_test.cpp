#include "curate/dedup.hpp"

#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/rng.hpp"
#include "shard/record.hpp"
#include "support/catch.hpp"
#include "support/data.hpp"

using namespace gristmill;
using namespace gristmill::curate;

namespace {

/// Two sets of `size` hashes with Jaccard similarity shared / (2 size - shared).
std::pair<std::vector<uint64_t>, std::vector<uint64_t>> planted(Rng& rng, size_t size, size_t shared) {
  std::vector<uint64_t> a, b;
  for (size_t i = 0; i < size; ++i) a.push_back(rng.bits());
  b.assign(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(shared));
  while (b.size() < size) b.push_back(rng.bits());
  return {a, b};
}

std::string word(Rng& rng) { return "w" + std::to_string(rng.below(50'000)); }

std::string words(Rng& rng, int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += word(rng) + (i % 12 == 11 ? ".\n" : " ");
  return text;
}

/// A shard-less run over documents in a temporary folder.
struct Run {
  Stats stats;
  std::string output, rejects;
};

std::string record(const std::string& id, const std::string& text) {
  shard::Document document;
  document.id = id;
  document.text = text;
  return document.to_line();
}

Run run(const std::vector<std::string>& lines, const DedupOptions& options, int threads, uint64_t seed = 1) {
  const auto folder =
      std::filesystem::temp_directory_path() / ("gristmill-dedup-" + std::to_string(::getpid()));
  std::filesystem::create_directory(folder);
  std::string input;
  for (const auto& line : lines) input += line + "\n";
  write_file(folder / "in.jsonl", input);
  shard::Header header;
  Run result;
  {
    shard::Reader reader({(folder / "in.jsonl").string()});
    shard::Writer writer(folder / "out.jsonl", header, shard::writer_options("out.jsonl", threads));
    const auto rejects = open_rejects(folder / "rejects.jsonl", header, threads);
    result.stats = dedup(reader, writer, rejects.get(), options, seed, threads);
  }
  result.output = read_file(folder / "out.jsonl");
  result.rejects = read_file(folder / "rejects.jsonl");
  std::filesystem::remove_all(folder);
  return result;
}

DedupOptions with(DedupMethod method) {
  DedupOptions options;
  options.method = method;
  return options;
}

}  // namespace

TEST_CASE("documents share a band as often as 1-(1-s^r)^b says", "[curate]") {
  const Minhash minhash({14, 8, 5}, 1);
  Rng rng(7, stream_of(RandomStream::test));
  std::vector<uint32_t> x(112), y(112);
  for (const size_t shared : {120, 140, 150, 160, 170}) {  // of 180: s = 0.50, 0.64, 0.71, 0.80, 0.89
    const double s = static_cast<double>(shared) / static_cast<double>(360 - shared);
    int hits = 0;
    constexpr int kPairs = 400;
    double agreement = 0;
    for (int i = 0; i < kPairs; ++i) {
      const auto [a, b] = planted(rng, 180, shared);
      minhash.sign(a, x.data());
      minhash.sign(b, y.data());
      agreement += minhash.similarity(x.data(), y.data()) / kPairs;
      bool hit = false;
      for (int band = 0; band < 14; ++band) {
        hit |= minhash.band_key(x.data(), band) == minhash.band_key(y.data(), band);
      }
      hits += hit ? 1 : 0;
    }
    const double p = collision_probability(s, minhash.options());
    const double sigma = std::sqrt(p * (1 - p) / kPairs);
    INFO("similarity " << s << ", expected " << p << ", measured " << hits / double{kPairs});
    CHECK(std::abs(hits / double{kPairs} - p) <= 4 * sigma + 0.005);
    CHECK(agreement == Approx(s).margin(0.012));
  }
}

TEST_CASE("the published bands have their published midpoints", "[curate]") {
  CHECK(collision_probability(0.7, {14, 8, 5}) == Approx(0.565).margin(0.005));
  CHECK(collision_probability(0.8, {14, 8, 5}) == Approx(0.924).margin(0.001));
  CHECK(collision_probability(0.8, {450, 20, 5}) == Approx(0.994).margin(0.001));
  CHECK(collision_probability(0.8, {9, 13, 5}) == Approx(0.40).margin(0.005));
}

TEST_CASE("n-grams are those of a plain reading, and short texts are one", "[curate]") {
  const Minhash minhash({2, 2, 3}, 1);
  const auto long_text = minhash.shingles("a b c d e");
  REQUIRE(long_text.size() == 3);
  CHECK(long_text[0] == minhash.shingles("a b c")[0]);
  CHECK(long_text[1] == minhash.shingles("b c d")[0]);
  CHECK(long_text[2] == minhash.shingles("c d e")[0]);
  CHECK(minhash.shingles("a b").size() == 1);
  CHECK(minhash.shingles("a b")[0] != minhash.shingles("b a")[0]);
  CHECK(minhash.shingles("").empty());
}

TEST_CASE("exact keeps the first of equal normal forms, in order and unchanged", "[curate]") {
  const std::string first = R"({"text":"Rye and  oats.","id":"a","odd":[1, 2]})";
  const auto result =
      run({first, record("b", "RYE and oats"), record("c", "Wheat."), record("d", "rye, and oats!")},
          with(DedupMethod::exact), 2);
  CHECK(result.output == first + "\n" + record("c", "Wheat.") + "\n");
  CHECK(result.stats.dropped.at("exact_duplicate") == 2);
  CHECK(result.rejects.find(R"("kept":"a","kept_record":1)") != std::string::npos);
}

TEST_CASE("texts without words are compared by their bytes", "[curate]") {
  for (const auto method : {DedupMethod::exact, DedupMethod::minhash}) {
    const auto result =
        run({record("a", "***"), record("b", "---"), record("c", "***"), record("d", "")}, with(method), 1);
    CHECK(result.stats.records_out == 3);
    CHECK(result.stats.records_dropped() == 1);
  }
}

TEST_CASE("minhash drops texts that are nearly equal and keeps those that are not", "[curate]") {
  Rng rng(3, stream_of(RandomStream::test));
  const std::string base = words(rng, 400);
  const std::string near = base + "one more sentence at the end";
  const auto result =
      run({record("a", base), record("b", words(rng, 400)), record("c", near), record("d", base)},
          with(DedupMethod::minhash), 2);
  CHECK(result.stats.records_out == 2);
  CHECK(result.stats.dropped.at("near_duplicate") == 2);
  CHECK(result.stats.extra.at("clusters").as_uint() == 1);
  CHECK(result.stats.extra.at("largest_cluster").as_uint() == 3);
  CHECK(result.output.find(R"("id":"a")") < result.output.find(R"("id":"b")"));
}

TEST_CASE("planted clusters are found and nothing else, with any number of threads", "[curate]") {
  Rng rng(5, stream_of(RandomStream::test));
  std::vector<std::string> lines;
  for (int i = 0; i < 150; ++i) {
    const std::string base = words(rng, 120);
    lines.push_back(record("base" + std::to_string(i), base));
    // One changed word of 120 touches 5 of 116 5-grams: similarity 0.92, found with probability 0.9999.
    const size_t gap = base.find(' ', base.size() / 2);
    const std::string copy = base.substr(0, gap) + "x" + base.substr(gap);
    if (i % 3 == 0) lines.push_back(record("copy" + std::to_string(i), copy));
  }
  const auto one = run(lines, with(DedupMethod::minhash), 1);
  const auto two = run(lines, with(DedupMethod::minhash), 3);
  CHECK(one.stats.records_out == 150);
  CHECK(one.stats.records_in == one.stats.records_out + one.stats.records_dropped());
  CHECK(one.output == two.output);
  CHECK(one.rejects == two.rejects);
}

TEST_CASE("a bucket of thousands of equal pages is one cluster and takes linear time", "[curate]") {
  const std::string text = "the same page of boiler plate text again and again";
  const auto result = run(std::vector<std::string>(4000, record("x", text)), with(DedupMethod::minhash), 2);
  CHECK(result.stats.records_out == 1);
  CHECK(result.stats.extra.at("largest_cluster").as_uint() == 4000);
}

TEST_CASE("records that are no documents are counted and kept in the rejects", "[curate]") {
  for (const auto method : {DedupMethod::exact, DedupMethod::minhash}) {
    const auto result = run({"{broken", record("a", "Rye."), R"({"id":"no text"})",
                             R"({"text":"bad )"
                             "\xFF"
                             R"("})"},
                            with(method), 2);
    CHECK(result.stats.records_in == 4);
    CHECK(result.stats.records_out == 1);
    CHECK(result.stats.dropped.at(kBadRecord) == 3);
    CHECK(result.rejects.find("{broken") != std::string::npos);
  }
}

TEST_CASE("a memory limit that does not suffice is an error that says so", "[curate]") {
  auto options = with(DedupMethod::minhash);
  options.memory = 400;
  CHECK_THROWS_WITH(run({record("a", "Rye."), record("b", "Oats.")}, options, 1), test::contains("--memory"));
}

TEST_CASE("near-duplicate licence texts are found", "[curate]") {
  REQUIRE_EXTERNAL_DATA(path, "web/fixtures/cs336-a4/documents_with_fuzzy_duplicates");
  std::vector<std::string> lines;
  for (const char* name : {"pytorch_license.txt", "rails_mit_license.txt", "react_mit_license.txt"}) {
    lines.push_back(record(name, read_file(path / name)));
  }
  const auto result = run(lines, with(DedupMethod::minhash), 1);
  CHECK(result.stats.records_out == 2);
  CHECK(result.output.find("pytorch_license") != std::string::npos);
}

#include "curate/minhash.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "base/error.hpp"
#include "base/hash.hpp"
#include "base/parallel.hpp"
#include "base/rng.hpp"
#include "base/str.hpp"

namespace gristmill::curate {

namespace {

constexpr uint64_t kWordBase = 0x9E3779B97F4A7C15ULL;  // odd: each step of the rolling sum can be undone

/// The finaliser of SplitMix64: spreads the low bits of the rolling sum over the word.
uint64_t finalize(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
  return x ^ (x >> 31);
}

}  // namespace

Minhash::Minhash(const MinhashOptions& options, uint64_t seed) : options_(options) {
  const auto in_range = [](int value, int most) { return value >= 1 && value <= most; };
  if (!in_range(options.bands, 10'000) || !in_range(options.rows, 1000) || !in_range(options.ngram, 1000)) {
    fail(Kind::usage, "--bands is 1 to 10000, --rows and --ngram are 1 to 1000");
  }
  Rng rng(seed, stream_of(RandomStream::minhash));
  for (int i = 0; i < options.bands * options.rows; ++i) {
    multipliers_.push_back(rng.bits() | 1);
    offsets_.push_back(rng.bits());
  }
}

std::vector<uint64_t> Minhash::shingles(std::string_view normal) const {
  std::vector<uint64_t> words;
  for (size_t at = 0; at < normal.size();) {
    const size_t end = std::min(normal.find(' ', at), normal.size());
    words.push_back(xxh3(normal.substr(at, end - at)));
    at = end + 1;
  }
  if (words.empty()) return words;
  // Rolling sum of w[i] B^(n-1-i) mod 2^64: one multiplication a word for any n.
  const size_t n = std::min(words.size(), static_cast<size_t>(options_.ngram));
  uint64_t power = 1, sum = 0;
  for (size_t i = 0; i < n; ++i) power *= kWordBase;
  std::vector<uint64_t> shingles;
  shingles.reserve(words.size() - n + 1);
  for (size_t i = 0; i < words.size(); ++i) {
    sum = sum * kWordBase + words[i];
    if (i >= n) sum -= words[i - n] * power;
    if (i + 1 >= n) shingles.push_back(finalize(sum));
  }
  return shingles;
}

void Minhash::sign(std::span<const uint64_t> shingles, uint32_t* signature) const {
  const auto places = multipliers_.size();
  std::fill(signature, signature + places, UINT32_MAX);
  for (const uint64_t x : shingles) {
    for (size_t i = 0; i < places; ++i) {
      const auto image = static_cast<uint32_t>((multipliers_[i] * x + offsets_[i]) >> 32);
      signature[i] = std::min(signature[i], image);
    }
  }
}

uint64_t Minhash::band_key(const uint32_t* signature, int band) const {
  const auto rows = static_cast<size_t>(options_.rows);
  const auto* first = reinterpret_cast<const char*>(signature + static_cast<size_t>(band) * rows);
  return xxh3(std::string_view(first, rows * sizeof(uint32_t)));
}

double Minhash::similarity(const uint32_t* a, const uint32_t* b) const {
  const auto places = multipliers_.size();
  size_t equal = 0;
  for (size_t i = 0; i < places; ++i) equal += a[i] == b[i] ? 1 : 0;
  return static_cast<double>(equal) / static_cast<double>(places);
}

double collision_probability(double similarity, const MinhashOptions& options) {
  return 1 - std::pow(1 - std::pow(similarity, options.rows), options.bands);
}

uint32_t* SignatureStore::add() {
  if (size_ % kBlock == 0) blocks_.emplace_back(new uint32_t[kBlock * places_]);
  uint32_t* place = blocks_.back().get() + size_ % kBlock * places_;
  ++size_;
  return place;
}

namespace {

using Edge = std::pair<uint32_t, uint32_t>;

/// Documents of a bucket are compared with at most this many of its earlier ones that are unlike each other,
/// so that a bucket of a million pages of boilerplate stays linear.
constexpr size_t kRepresentatives = 32;

/// Similar pairs among the documents that share a key of `band`.
std::vector<Edge> band_edges(const SignatureStore& signatures, const Minhash& minhash, int band,
                             double threshold) {
  std::vector<std::pair<uint64_t, uint32_t>> keys(signatures.size());
  for (uint32_t i = 0; i < keys.size(); ++i) keys[i] = {minhash.band_key(signatures.at(i), band), i};
  std::sort(keys.begin(), keys.end());
  std::vector<Edge> edges;
  std::vector<uint32_t> representatives;
  for (size_t i = 0; i < keys.size(); ++i) {
    if (i == 0 || keys[i].first != keys[i - 1].first) representatives.clear();
    const uint32_t document = keys[i].second;
    bool joined = false;
    for (const uint32_t other : representatives) {
      if (minhash.similarity(signatures.at(other), signatures.at(document)) < threshold) continue;
      edges.emplace_back(other, document);
      joined = true;
      break;
    }
    if (!joined && representatives.size() < kRepresentatives) representatives.push_back(document);
  }
  return edges;
}

uint32_t find_root(std::vector<uint32_t>& parents, uint32_t document) {
  while (parents[document] != document) {
    parents[document] = parents[parents[document]];
    document = parents[document];
  }
  return document;
}

}  // namespace

std::vector<uint32_t> cluster(const SignatureStore& signatures, const Minhash& minhash, double threshold,
                              int threads) {
  if (signatures.size() >= UINT32_MAX)
    fail(Kind::input, "more than 4 billion documents in one run; split the input");
  const auto bands = static_cast<size_t>(minhash.options().bands);
  std::vector<std::vector<Edge>> edges(bands);
  ThreadPool(threads).run(bands, [&](size_t band) {
    edges[band] = band_edges(signatures, minhash, static_cast<int>(band), threshold);
  });
  std::vector<uint32_t> parents(signatures.size());
  std::iota(parents.begin(), parents.end(), 0U);
  for (const auto& list : edges) {
    for (const auto& [a, b] : list) {
      const uint32_t x = find_root(parents, a), y = find_root(parents, b);
      parents[std::max(x, y)] = std::min(x, y);  // the root of a cluster is its first document
    }
  }
  for (uint32_t i = 0; i < parents.size(); ++i) parents[i] = find_root(parents, i);
  return parents;
}

}  // namespace gristmill::curate

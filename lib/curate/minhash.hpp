#pragma once

// MinHash signatures (Broder 1997) and locality-sensitive hashing in bands. A document is the set of its word
// n-grams; a signature keeps, for each of K random permutations, the least image of the set. Two documents
// agree in one place of their signatures with probability s, their Jaccard similarity; in a whole band of r
// places with s^r; in at least one of b bands with 1 - (1 - s^r)^b. FineWeb's b = 14, r = 8 puts the steepest
// point at s = 0.72.
//
// A permutation is multiply-shift, (a x + b) mod 2^64 >> 32 with odd a, on 64-bit n-gram hashes.

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace gristmill::curate {

struct MinhashOptions {
  int bands = 14;
  int rows = 8;
  int ngram = 5;  ///< words
};

class Minhash {
 public:
  Minhash(const MinhashOptions& options, uint64_t seed);

  int size() const { return static_cast<int>(multipliers_.size()); }
  const MinhashOptions& options() const { return options_; }

  /// 64-bit hashes of the word n-grams of a text in normal form (words apart by single spaces). A text of
  /// fewer words is one n-gram. An empty normal form gives nothing.
  std::vector<uint64_t> shingles(std::string_view normal) const;

  /// Writes size() minima; at least one shingle.
  void sign(std::span<const uint64_t> shingles, uint32_t* signature) const;

  /// One key for the places of a band.
  uint64_t band_key(const uint32_t* signature, int band) const;

  /// Share of places in which two signatures agree: an estimate of the Jaccard similarity.
  double similarity(const uint32_t* a, const uint32_t* b) const;

 private:
  MinhashOptions options_;
  std::vector<uint64_t> multipliers_, offsets_;
};

/// 1 - (1 - s^r)^b.
double collision_probability(double similarity, const MinhashOptions& options);

/// Signatures of many documents, in blocks that never move: growing costs no copy and no second allocation.
class SignatureStore {
 public:
  explicit SignatureStore(int places) : places_(static_cast<size_t>(places)) {}
  /// Room for one more signature.
  uint32_t* add();
  const uint32_t* at(uint64_t document) const {
    return blocks_[document / kBlock].get() + document % kBlock * places_;
  }
  uint64_t size() const { return size_; }

 private:
  static constexpr uint64_t kBlock = 1024;
  size_t places_;
  uint64_t size_ = 0;
  std::vector<std::unique_ptr<uint32_t[]>> blocks_;
};

/// For each document the first of its cluster (itself if it is the first or alone). Documents that share a
/// band and whose signatures agree in at least `threshold` of their places are joined, and so is what they
/// are joined with. The result depends on neither the number of threads nor the order in which pairs are
/// found.
std::vector<uint32_t> cluster(const SignatureStore& signatures, const Minhash& minhash, double threshold,
                              int threads);

}  // namespace gristmill::curate

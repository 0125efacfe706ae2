#include "curate/dedup.hpp"

#include <algorithm>
#include <memory>
#include <unordered_map>
#include <utility>

#include "base/error.hpp"
#include "base/hash.hpp"
#include "base/parallel.hpp"
#include "base/progress.hpp"
#include "base/str.hpp"
#include "curate/batch.hpp"
#include "curate/spool.hpp"
#include "shard/record.hpp"
#include "text/normalize.hpp"

namespace gristmill::curate {

namespace {

struct Hash128 {
  uint64_t low, high;
  friend bool operator==(const Hash128&, const Hash128&) = default;
};

struct HashOfHash {
  size_t operator()(const Hash128& hash) const { return static_cast<size_t>(hash.low); }
};

/// What is compared: the normal form, or the bytes themselves where the text has no word.
std::string comparable(const std::string& text) {
  std::string normal = text::normalize(text);
  return normal.empty() ? text : normal;
}

struct Hashed {
  Hash128 hash{};
  std::string id, error;  ///< error: the record is no document
};

/// A batch with what was made of each record: a hash, or a signature.
struct Prepared {
  Batch batch;
  std::vector<Hashed> hashes;
  std::vector<std::vector<uint32_t>> signatures;  ///< empty for a bad record
  std::vector<std::string> errors;
};

Prepared hash_batch(Batch&& batch) {
  Prepared out;
  for (size_t i = 0; i < batch.lines.size(); ++i) {
    Hashed item;
    try {
      const auto document = shard::Document::parse(batch.lines[i], record_name(batch.first + i));
      const std::string text = comparable(document.text);
      item.hash = {xxh3(text, 0), xxh3(text, 1)};
      item.id = document.id;
    } catch (const Error& error) {
      item.error = error.what();
    }
    out.hashes.push_back(std::move(item));
  }
  out.batch = std::move(batch);
  return out;
}

void reject_duplicate(Rejects* rejects, const std::string& line, const char* reason,
                      const std::string& kept_id, uint64_t kept_record, double similarity) {
  if (rejects == nullptr) return;
  auto document = shard::Document::parse(line, "record");
  Json note = Json::object();
  note["reason"] = reason;
  note["kept"] = kept_id;
  note["kept_record"] = kept_record + 1;
  if (similarity >= 0) note["similarity"] = similarity;
  document.metadata["dedup"] = std::move(note);
  rejects->write(document.to_line());
}

void check_memory(uint64_t documents, uint64_t bytes_each, uint64_t limit) {
  if (limit == 0 || documents * bytes_each <= limit) return;
  fail(Kind::input, documents, " documents need more than --memory ", format_bytes(limit), " (", bytes_each,
       " bytes a document): give more, or dedup parts with --method exact first");
}

constexpr uint64_t kExactBytes = 64;  // a node of the table with its share of buckets

struct Sinks {
  shard::Reader& reader;
  shard::Writer& writer;
  Rejects* rejects;
};

void reject_bad(Stats& stats, Rejects* rejects, const std::string& line, const std::string& error) {
  stats.drop(kBadRecord);
  if (rejects != nullptr) rejects->write(bad_record_line(line, error));
}

/// The group statistics from the number of duplicates of each kept document.
void note_clusters(Stats& stats, const std::unordered_map<uint64_t, uint64_t>& sizes) {
  uint64_t largest = 0;
  for (const auto& [kept, size] : sizes) largest = std::max(largest, size);  // a maximum has no order
  stats.extra["clusters"] = static_cast<uint64_t>(sizes.size());
  stats.extra["largest_cluster"] = largest;
}

Stats dedup_exact(const Sinks& io, const DedupOptions& options, int threads) {
  struct Kept {
    uint64_t record;
    std::string id;
  };
  Stats stats;
  std::unordered_map<Hash128, Kept, HashOfHash> seen;
  std::unordered_map<uint64_t, uint64_t> cluster_sizes;
  progress::Counter progress("compared", "records");
  ordered_parallel<Batch, Prepared>(
      threads, [&] { return next_batch(io.reader); }, hash_batch,
      [&](Prepared&& done) {
        for (size_t i = 0; i < done.batch.lines.size(); ++i) {
          auto& item = done.hashes[i];
          const auto& line = done.batch.lines[i];
          const uint64_t number = stats.records_in++;
          if (!item.error.empty()) {
            reject_bad(stats, io.rejects, line, item.error);
            continue;
          }
          const auto [found, fresh] = seen.try_emplace(item.hash, Kept{number, {}});
          if (fresh) {
            // Ids are needed for the rejects alone.
            if (io.rejects != nullptr) found->second.id = std::move(item.id);
            io.writer.write(line);
            stats.records_out += 1;
            continue;
          }
          stats.drop("exact_duplicate");
          cluster_sizes.try_emplace(found->second.record, 1).first->second += 1;
          reject_duplicate(io.rejects, line, "exact_duplicate", found->second.id, found->second.record, -1);
        }
        check_memory(seen.size(), kExactBytes, options.memory);
        progress.add(done.batch.lines.size());
      });
  note_clusters(stats, cluster_sizes);
  return stats;
}

Prepared sign_batch(const Minhash& minhash, Batch&& batch) {
  Prepared out;
  for (size_t i = 0; i < batch.lines.size(); ++i) {
    std::vector<uint32_t> signature;
    std::string error;
    try {
      const auto document = shard::Document::parse(batch.lines[i], record_name(batch.first + i));
      const std::string normal = text::normalize(document.text);
      auto shingles = minhash.shingles(normal);
      if (shingles.empty()) shingles.push_back(xxh3(document.text, 1));
      signature.resize(static_cast<size_t>(minhash.size()));
      minhash.sign(shingles, signature.data());
    } catch (const Error& failure) {
      error = failure.what();
    }
    out.signatures.push_back(std::move(signature));
    out.errors.push_back(std::move(error));
  }
  out.batch = std::move(batch);
  return out;
}

/// First pass over all documents: signatures in memory, records on disk.
struct Collected {
  explicit Collected(int places) : signatures(places) {}
  SignatureStore signatures;
  Spool spool;
  std::vector<uint64_t> offsets, numbers;  ///< where a document's record starts; its number in the input
};

void collect(const Sinks& io, const Minhash& minhash, const DedupOptions& options, int threads, Stats& stats,
             Collected& all) {
  progress::Counter progress("signed", "records");
  const uint64_t bytes_each = static_cast<uint64_t>(minhash.size()) * 4 + 20;
  ordered_parallel<Batch, Prepared>(
      threads, [&] { return next_batch(io.reader); },
      [&](Batch&& batch) { return sign_batch(minhash, std::move(batch)); },
      [&](Prepared&& done) {
        for (size_t i = 0; i < done.batch.lines.size(); ++i) {
          const uint64_t number = stats.records_in++;
          if (done.signatures[i].empty()) {
            reject_bad(stats, io.rejects, done.batch.lines[i], done.errors[i]);
            continue;
          }
          std::copy(done.signatures[i].begin(), done.signatures[i].end(), all.signatures.add());
          all.offsets.push_back(all.spool.append(done.batch.lines[i]));
          all.numbers.push_back(number);
        }
        check_memory(all.signatures.size(), bytes_each, options.memory);
        progress.add(done.batch.lines.size());
      });
  all.offsets.push_back(all.spool.size());
  all.spool.flush();
}

Stats dedup_minhash(const Sinks& io, const DedupOptions& options, uint64_t seed, int threads) {
  Stats stats;
  const Minhash minhash(options.minhash, seed);
  Collected all(minhash.size());
  collect(io, minhash, options, threads, stats, all);
  const auto roots = cluster(all.signatures, minhash, options.threshold, threads);
  std::unordered_map<uint64_t, uint64_t> cluster_sizes;
  std::unordered_map<uint32_t, std::string> kept_ids;  // of clusters alone, for the rejects
  const auto line_of = [&](uint32_t i) {
    return all.spool.read(all.offsets[i], all.offsets[i + 1] - all.offsets[i]);
  };
  for (uint32_t i = 0; i < roots.size(); ++i) {
    const std::string line = line_of(i);
    if (roots[i] == i) {
      io.writer.write(line);
      stats.records_out += 1;
      continue;
    }
    const uint32_t kept = roots[i];
    stats.drop("near_duplicate");
    cluster_sizes.try_emplace(kept, 1).first->second += 1;
    if (io.rejects == nullptr) continue;
    const auto [id, fresh] = kept_ids.try_emplace(kept);
    if (fresh) id->second = shard::Document::parse(line_of(kept), "record").id;
    const double similarity = minhash.similarity(all.signatures.at(kept), all.signatures.at(i));
    reject_duplicate(io.rejects, line, "near_duplicate", id->second, all.numbers[kept], similarity);
  }
  note_clusters(stats, cluster_sizes);
  return stats;
}

}  // namespace

Stats dedup(shard::Reader& reader, shard::Writer& writer, Rejects* rejects, const DedupOptions& options,
            uint64_t seed, int threads) {
  if (!(options.threshold >= 0 && options.threshold <= 1))
    fail(Kind::usage, "--threshold lies between 0 and 1");
  require_documents(reader);
  const Sinks io{reader, writer, rejects};
  Stats stats = options.method == DedupMethod::exact ? dedup_exact(io, options, threads)
                                                     : dedup_minhash(io, options, seed, threads);
  writer.close(reader.provenance());
  if (rejects != nullptr) rejects->close(reader.provenance());
  stats.bytes_in = reader.bytes_read();
  stats.bytes_out = writer.bytes_written();
  return stats;
}

Json to_json(const DedupOptions& options) {
  Json json = Json::object();
  const bool exact = options.method == DedupMethod::exact;
  json["method"] = exact ? "exact" : "minhash";
  json["normal_form"] = text::kNormalVersion;
  if (exact) return json;
  json["threshold"] = options.threshold;
  json["bands"] = options.minhash.bands;
  json["rows"] = options.minhash.rows;
  json["ngram"] = options.minhash.ngram;
  return json;
}

}  // namespace gristmill::curate

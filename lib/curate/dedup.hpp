#pragma once

// Removes duplicate documents; the first of each group stays, and the order of the input is kept. What stays
// is passed on byte for byte.
//   exact:   equal normal forms (text/normalize.hpp), by a 128-bit hash; one pass, about 50 bytes of memory a
//            document.
//   minhash: similar sets of word n-grams (minhash.hpp); two passes, 4 bytes a place of the signature and a
//   document
//            (448 with 14 bands of 8) plus 20, records in a temporary file meanwhile.

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.hpp"
#include "base/stats.hpp"
#include "curate/minhash.hpp"
#include "curate/rejects.hpp"
#include "shard/reader.hpp"
#include "shard/writer.hpp"

namespace gristmill::curate {

enum class DedupMethod { exact, minhash };

struct DedupOptions {
  DedupMethod method = DedupMethod::minhash;
  double threshold = 0.75;  ///< least share of agreeing places; FineWeb aims at pages "at least 75% similar"
  MinhashOptions minhash;
  uint64_t memory = 0;  ///< most bytes for hashes and signatures; 0 = no limit
};

/// Reasons exact_duplicate, near_duplicate, bad_record. A rejected document carries in metadata.dedup the id
/// and number of the one that was kept, and for minhash the estimated similarity. stats.extra gets clusters
/// and largest_cluster. Error{input} if memory does not suffice.
Stats dedup(shard::Reader& reader, shard::Writer& writer, Rejects* rejects, const DedupOptions& options,
            uint64_t seed, int threads);

Json to_json(const DedupOptions& options);

}  // namespace gristmill::curate

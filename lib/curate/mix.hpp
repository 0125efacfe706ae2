#pragma once

// Mixes documents of several domains into one stream by weights.
//
// A domain's weight is its share of the bytes of text. Within a domain documents come in a random order, a
// new one each epoch; between domains the one that is least far towards its quota comes next, so that every
// stretch of the output has nearly the wanted shares (a low-discrepancy order), and each domain ends within
// half a document of its quota. A domain is never repeated more than `epochs` times: what it then lacks stays
// lacking and is reported, it is not given to the others in silence. Records wait in one temporary file of
// the decoded inputs' size; memory is about 24 bytes a document.

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/json.hpp"
#include "base/stats.hpp"
#include "curate/rejects.hpp"
#include "shard/writer.hpp"

namespace gristmill::curate {

/// How a record's domain is found: its "source", its file's name up to the first dot, or whichever of the two
/// has a weight.
enum class DomainBy { automatic, source, file };

struct MixOptions {
  std::vector<std::pair<std::string, double>> weights;  ///< domain → weight, in the order of the file
  double epochs = 1;   ///< most repetitions of a domain, a fraction is allowed
  uint64_t bytes = 0;  ///< bytes of text wanted; 0 = as many as all weights allow
  DomainBy by = DomainBy::automatic;
};

/// Reads weights: a JSON object {"domain": weight} or lines "domain <tab> weight". Error{usage} for a weight
/// that is no number from 0 up, a domain given twice, or weights that are all 0.
std::vector<std::pair<std::string, double>> read_weights(const std::string& path);

/// Reasons bad_record, zero_weight, and over_budget for documents that were not used; a record of a domain
/// without a weight is Error{input}. records_out counts repetitions: in = out - repeated + dropped.
/// stats.extra gets `repeated` and `domains`: for each weight, share wanted, share got, documents and bytes
/// there and written, epochs, and whether it ran out.
Stats mix(const std::vector<std::string>& inputs, shard::Writer& writer, Rejects* rejects,
          const MixOptions& options, uint64_t seed);

Json to_json(const MixOptions& options);

}  // namespace gristmill::curate

#pragma once

// What a stage did with its records: everything that goes in comes out or is counted under a reason.

#include <cstdint>
#include <map>
#include <string>

#include "base/json.hpp"

namespace gristmill {

struct Stats {
  uint64_t records_in = 0;
  uint64_t records_out = 0;
  std::map<std::string, uint64_t> dropped;  ///< reason → records
  uint64_t bytes_in = 0;                    ///< as read, before decompression where that is known
  uint64_t bytes_out = 0;
  Json extra = Json::object();  ///< what only one tool counts; its keys stand behind the common ones

  void drop(const std::string& reason, uint64_t records = 1) { dropped[reason] += records; }
  uint64_t records_dropped() const {
    uint64_t sum = 0;
    for (const auto& [reason, records] : dropped) sum += records;
    return sum;
  }
};

/// The object of --stats: {records_in, records_out, dropped{reason: n}, bytes_in, bytes_out, seconds,
/// peak_bytes}.
Json to_json(const Stats& stats, double seconds, uint64_t peak_bytes);
/// The same as one line for people.
std::string summary(const Stats& stats, double seconds, uint64_t peak_bytes);

/// Peak resident memory of this process so far, in bytes.
uint64_t peak_memory();

}  // namespace gristmill

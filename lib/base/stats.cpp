#include "base/stats.hpp"

#include <sys/resource.h>

#include "base/str.hpp"

namespace gristmill {

Json to_json(const Stats& stats, double seconds, uint64_t peak_bytes) {
  Json dropped = Json::object();
  for (const auto& [reason, records] : stats.dropped) dropped[reason] = records;
  Json json = Json::object();
  json["records_in"] = stats.records_in;
  json["records_out"] = stats.records_out;
  json["dropped"] = dropped;
  json["bytes_in"] = stats.bytes_in;
  json["bytes_out"] = stats.bytes_out;
  json["seconds"] = seconds;
  json["peak_bytes"] = peak_bytes;
  for (const auto& [key, value] : stats.extra.as_object()) json[key] = value;
  return json;
}

std::string summary(const Stats& stats, double seconds, uint64_t peak_bytes) {
  std::string reasons;
  for (const auto& [reason, records] : stats.dropped) {
    reasons += str(reasons.empty() ? " (" : ", ", reason, " ", records);
  }
  if (!reasons.empty()) reasons += ")";
  return str(stats.records_in, " records in, ", stats.records_out, " out, ", stats.records_dropped(),
             " dropped", reasons, "; ", format_bytes(stats.bytes_in), " in, ", format_bytes(stats.bytes_out),
             " out; ", format_fixed(seconds, 1), " s, ", format_bytes(peak_bytes), " peak");
}

uint64_t peak_memory() {
  struct rusage usage {};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<uint64_t>(usage.ru_maxrss) * 1024;  // Linux counts in KiB
}

}  // namespace gristmill

#include "shard/provenance.hpp"

#include "base/str.hpp"

namespace gristmill::shard {

Json provenance_entry(const Segment& segment, uint64_t records) {
  Json entry = Json::object();
  if (segment.header) {
    entry["header"] = to_json(*segment.header);
  } else {
    entry["format"] = segment.format;
  }
  entry["records"] = segment.header ? segment.trailer.records : records;
  entry["bytes"] = segment.trailer.bytes;
  entry["xxh64"] = format_hex64(segment.trailer.digest);
  if (segment.header) entry["inputs"] = segment.trailer.inputs;
  return entry;
}

}  // namespace gristmill::shard

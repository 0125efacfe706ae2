#pragma once

// Shards for people: as JSON Lines, described, checked.

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.hpp"

namespace gristmill::shard {

/// Hands each record of any shards, token shards and foreign files among them, to `sink`; stops after `limit`
/// records without looking at the rest.
void cat_records(const std::vector<std::string>& inputs, uint64_t limit,
                 const std::function<void(std::string_view)>& sink);

/// Reads and checks one input and tells of each shard in it:
/// {"file","header","records","bytes","xxh64","inputs"}, of foreign data
/// {"file","format","records","bytes","xxh64"}.
std::vector<Json> describe(const std::string& input);

struct Verdict {
  bool ok = false;
  std::string line;  ///< "ok: FILE: …" or "damaged: FILE …"
};

/// Reads one input to its end: every checksum, every count, and whether each record of foreign data is JSON.
Verdict check(const std::string& input);

}  // namespace gristmill::shard

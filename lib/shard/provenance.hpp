#pragma once

// What a trailer says of the inputs of its shard. Private to lib/shard.

#include <cstdint>

#include "base/json.hpp"
#include "shard/decoder.hpp"

namespace gristmill::shard {

/// A shard: {"header","records","bytes","xxh64","inputs"}; a foreign input:
/// {"format","records","bytes","xxh64"}. The bytes and their hash are those of the decoded data; no name of a
/// file is recorded.
Json provenance_entry(const Segment& segment, uint64_t records);

}  // namespace gristmill::shard

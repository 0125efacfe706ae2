#pragma once

// Records in small batches, so that handing work to a thread costs little a record and memory stays bounded
// by a few batches or by the largest record.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "shard/reader.hpp"

namespace gristmill::curate {

struct Batch {
  uint64_t first = 0;  ///< number of its first record, from 0
  std::vector<std::string> lines;
};

/// The next batch: at least one record, at most 256 KiB or the one record that is larger. Nothing at the end.
std::optional<Batch> next_batch(shard::Reader& reader);

/// "record N" (from 1), the start of messages about a record.
std::string record_name(uint64_t number);

/// Error{input} if the reader's first shard holds tokens and not lines of JSON.
void require_documents(shard::Reader& reader);

}  // namespace gristmill::curate

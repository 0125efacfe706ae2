#include "curate/batch.hpp"

#include "base/error.hpp"
#include "base/str.hpp"

namespace gristmill::curate {

namespace {
constexpr size_t kBatchBytes = 256 << 10;
}

std::optional<Batch> next_batch(shard::Reader& reader) {
  Batch batch;
  batch.first = reader.records_read();
  size_t bytes = 0;
  for (std::string_view record; bytes < kBatchBytes && reader.next(record);) {
    batch.lines.emplace_back(record);
    bytes += record.size() + sizeof(std::string);
  }
  if (batch.lines.empty()) return std::nullopt;
  return batch;
}

std::string record_name(uint64_t number) { return str("record ", number + 1); }

void require_documents(shard::Reader& reader) {
  const auto& header = reader.header();
  if (header && header->schema == shard::kTokens) {
    fail(Kind::input, reader.where(),
         ": a token shard, but documents are wanted; tokenize --decode turns it back");
  }
}

}  // namespace gristmill::curate

#pragma once

// Reads shards and foreign JSON Lines (plain, gzip, zstd) from files and pipes, one behind the other.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.hpp"
#include "shard/header.hpp"

namespace gristmill::shard {

struct ReaderOptions {
  uint64_t max_record_bytes = uint64_t{4} << 30;  ///< a longer line is Error{input}
  bool allow_foreign = true;                      ///< accept files without our header
  /// Token shards are read too, each document as a record {"ids":[…]}. The ids of one shard are in
  /// memory then.
  bool tokens_as_records = false;
};

/// Lines (records) of a list of inputs; "-" is standard input. Ours are checked to the last byte: a missing
/// trailer (the stage before died), a bad checksum or a wrong count is Error{input} when the end is reached.
/// Two shards behind each other in one input read as one.
class Reader {
 public:
  explicit Reader(std::vector<std::string> inputs, const ReaderOptions& options = {});
  ~Reader();
  Reader(Reader&&) noexcept;

  /// The next record without its newline; valid until the next call. False at the end of the last input.
  /// Empty lines are skipped.
  bool next(std::string_view& record);

  /// Where the last record stood, for messages: "FILE, record N".
  std::string where() const;
  /// The header of the shard that the last record came from; nothing for foreign input. Before the first
  /// record: of the first shard, read ahead.
  const std::optional<Header>& header();
  /// Provenance for the trailer of what is made from these inputs: one entry an input read so far, with its
  /// header, its own upstream chain and the digest of its decoded bytes. Complete once next() has returned
  /// false.
  Json provenance() const;
  uint64_t bytes_read() const;  ///< as stored
  uint64_t records_read() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace gristmill::shard

#include "shard/inspect.hpp"

#include "base/error.hpp"
#include "base/str.hpp"
#include "shard/reader.hpp"

namespace gristmill::shard {

namespace {

ReaderOptions any_input() {
  ReaderOptions options;
  options.tokens_as_records = true;
  return options;
}

std::string kind_of(const Json& entry) {
  const Json* header = entry.find("header");
  return header != nullptr ? header->at("schema").as_string() : "foreign " + entry.at("format").as_string();
}

/// "documents, 10 records, 466 bytes" over the shards that one input holds.
std::string summary(const Json& provenance) {
  std::string kinds;
  uint64_t records = 0, bytes = 0;
  for (const auto& entry : provenance.as_array()) {
    const std::string kind = kind_of(entry);
    if (kinds.empty()) kinds = kind;
    if (kinds != kind) kinds = "mixed";
    records += entry.at("records").as_uint();
    bytes += entry.at("bytes").as_uint();
  }
  const size_t shards = provenance.as_array().size();
  return str(kinds, ", ", records, " records, ", bytes, " bytes",
             shards > 1 ? str(", ", shards, " shards") : "");
}

}  // namespace

void cat_records(const std::vector<std::string>& inputs, uint64_t limit,
                 const std::function<void(std::string_view)>& sink) {
  Reader reader(inputs, any_input());
  std::string_view record;
  while (reader.records_read() < limit && reader.next(record)) sink(record);
}

std::vector<Json> describe(const std::string& input) {
  Reader reader({input}, any_input());
  std::string_view record;
  while (reader.next(record)) continue;
  std::vector<Json> shards;
  const Json provenance = reader.provenance();
  for (const auto& entry : provenance.as_array()) {
    Json described = Json::object();
    described["file"] = input;
    for (const auto& [key, value] : entry.as_object()) described[key] = value;
    shards.push_back(std::move(described));
  }
  return shards;
}

Verdict check(const std::string& input) {
  try {
    Reader reader({input}, any_input());
    std::string_view record;
    while (reader.next(record)) {
      if (!reader.header()) Json::parse(record, reader.where());
    }
    return {true, str("ok: ", input == "-" ? "standard input" : input, ": ", summary(reader.provenance()))};
  } catch (const Error& error) {
    return {false, str("damaged: ", error.what())};
  }
}

}  // namespace gristmill::shard

#include "curate/rejects.hpp"

namespace gristmill::curate {

Rejects::Rejects(const std::string& path, const shard::Header& header, int threads)
    : writer_(path, header, shard::writer_options(path, threads)) {}

std::unique_ptr<Rejects> open_rejects(const std::string& path, const shard::Header& header, int threads) {
  if (path.empty()) return nullptr;
  shard::Header own = header;
  own.schema = shard::kRecords;
  return std::make_unique<Rejects>(path, own, threads);
}

std::string bad_record_line(std::string_view line, std::string_view error) {
  Json json = Json::object();
  json["reason"] = kBadRecord;
  json["error"] = error;
  json["line"] = line;
  return json.dump();
}

}  // namespace gristmill::curate
